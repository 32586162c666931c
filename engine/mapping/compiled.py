"""How does a rule run? Rules become closures over the place of a segment in a frame and the number of a field in it.

A frame holds the fields of each segment that a resource's rules read; where the segment is missing it holds nothing.
Later segments of the same name (NTE after NTE) stand beside it and reach only rules that add to a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.codecs.er7 import NULL
from engine.finding import Severity
from engine.mapping.definition import FieldName, ResourceRules, Rule
from engine.mapping.mapped import Resource
from engine.mapping.registry import FUNCTIONS, ID_FUNCTIONS, Apply, Function, Options
from engine.mapping.scope import Scope
from engine.terminology import Tables

Fields = Sequence[str]
Rows = list[Fields]
More = dict[int, list[Fields]]
EMPTY: Fields = ()

Run = Callable[[Rows, "More | None", Scope, Resource], None]
Read = Callable[[Rows], str]
IdMaker = Callable[[Rows, str, Scope], "str | None"]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that runs, and what must be known of it to say where something came from."""

    rule: Rule
    run: Run
    function: Function | None
    path: tuple[str, ...]

    @property
    def target(self) -> str:
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Reference:
    """A rule that refers to another resource of the message."""

    rule: Rule
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompiledResource:
    """All that makes one resource of each group.

    segments  the names whose fields stand in a frame, by place
    """

    rules: ResourceRules
    segments: tuple[str, ...]
    runs: tuple[Run, ...]
    compiled: tuple[CompiledRule, ...]
    references: tuple[Reference, ...]
    make_id: IdMaker
    needed: tuple[CompiledRule, ...]


def compile_resource(rules: ResourceRules, facility: str, tables: Tables) -> CompiledResource:
    segments: list[str] = []
    for rule in (rules.id, *rules.rules):
        for name in rule.fields:
            if name.segment not in segments:
                segments.append(name.segment)
    places = {name: place for place, name in enumerate(segments)}
    compiled = tuple(_rule(rule, places, facility, tables) for rule in rules.rules if rule.refer is None)
    return CompiledResource(
        rules=rules,
        segments=tuple(segments),
        runs=tuple(each.run for each in compiled),
        compiled=compiled,
        references=tuple(Reference(rule, _path(rule)) for rule in rules.rules if rule.refer is not None),
        make_id=_id_maker(rules.id, places, facility, tables),
        needed=tuple(each for each in compiled if each.rule.needed),
    )


def _path(rule: Rule) -> tuple[str, ...]:
    return tuple(rule.to.split("."))


def _options(rule: Rule, facility: str, tables: Tables) -> Options:
    return Options(facility, tables, rule.argument, tables[rule.table] if rule.table else None)


def _rule(rule: Rule, places: dict[str, int], facility: str, tables: Tables) -> CompiledRule:
    path = _path(rule)
    if rule.value is not None:
        return CompiledRule(rule, _constant(path, rule.many, _literal(rule.value)), None, path)
    function = FUNCTIONS[rule.function or "text"]
    apply = function.make(_options(rule, facility, tables))
    if len(rule.sources) != 1:
        readers = tuple(_reader(name, places, whole=function.repeats) for name in rule.sources)
        place, number = (places[rule.sources[0].segment], rule.sources[0].number) if rule.sources else (0, 0)
        run = _from_many(readers, place, number, apply, path, rule.many, function.elements)
    elif rule.many:
        run = _adding(rule, places, apply, path, function.repeats)
    elif rule.otherwise or rule.sources[0].component is not None:
        readers = tuple(_reader(name, places, whole=function.repeats) for name in rule.fields)
        run = _from_first(readers, apply, path, function.elements)
    else:
        place, number = places[rule.sources[0].segment], rule.sources[0].number
        run = _from_one(place, number, apply, path, function)
    if rule.default is not None:
        run = _or_default(run, path, rule.default)
    return CompiledRule(rule, run, function, path)


def _or_default(first: Run, path: tuple[str, ...], default: str) -> Run:
    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        first(rows, more, scope, out)
        target = container(out, path)
        if path[-1] not in target:
            target[path[-1]] = default

    return run


def _literal(value: str) -> Any:
    return {"true": True, "false": False}.get(value, value)


def container(out: Resource, path: tuple[str, ...]) -> Resource:
    for name in path[:-1]:
        inner = out.get(name)
        if inner is None:
            inner = out[name] = {}
        out = inner
    return out


def _put(out: Resource, path: tuple[str, ...], value: Any, elements: bool) -> None:
    target = container(out, path) if len(path) > 1 else out
    if not elements:
        target[path[-1]] = value
        return
    for key, part in value.items():
        if key == "extension" and target.get("extension"):
            target["extension"].extend(part)
        else:
            target[key] = part


def _delete(out: Resource, path: tuple[str, ...], scope: Scope) -> None:
    """HL7 null: the element is to be deleted. For a choice of types (`value[x]`) nobody can say which one."""
    name = path[-1]
    if name.endswith("[x]"):
        scope.doubt("deletion-not-applied", "the sender deletes a value here; nothing was deleted")
        return
    container(out, path).setdefault(name, None)


def _constant(path: tuple[str, ...], many: bool, value: Any) -> Run:
    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        if many:
            _append(out, path, value)
        else:
            _put(out, path, value, False)

    return run


def _append(out: Resource, path: tuple[str, ...], value: Any) -> None:
    target = container(out, path) if len(path) > 1 else out
    name = path[-1]
    already = target.get(name)
    if already is None:
        target[name] = [value]
    elif value not in already:
        already.append(value)


def _from_one(place: int, number: int, apply: Apply, path: tuple[str, ...], function: Function) -> Run:
    """The commonest rule: one field, one element."""
    name, repeats, elements, nested = path[-1], function.repeats, function.elements, len(path) > 1

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        fields = rows[place]
        if number >= len(fields):
            return
        raw = fields[number]
        if not raw:
            return
        if raw == NULL:
            _delete(out, path, scope)
            return
        if not repeats and "~" in raw:
            raw = _only_first(raw, scope)
        value = apply(raw, scope)
        if value is None:
            return
        if nested or elements:
            _put(out, path, value, elements)
        else:
            out[name] = value

    return run


def _only_first(raw: str, scope: Scope) -> str:
    first, _, rest = raw.partition("~")
    if rest.replace("~", "").strip():
        scope.doubt("repetition-not-mapped", "only the first of several repetitions is taken", 0, Severity.INFORMATION)
    return first


def _reader(name: FieldName, places: dict[str, int], *, whole: bool) -> Read:
    """Reads one field, or one component of its first repetition; empty where there is nothing, or a null."""
    place, number, component = places[name.segment], name.number, name.component

    def field(rows: Rows) -> str:
        fields = rows[place]
        if number >= len(fields):
            return ""
        raw = fields[number]
        if raw == NULL:
            return ""
        return raw if whole or "~" not in raw else raw[: raw.index("~")]

    def one_component(rows: Rows) -> str:
        parts = field(rows).split("^")
        return parts[component - 1] if component is not None and component <= len(parts) else ""

    return field if component is None else one_component


def _from_first(readers: tuple[Read, ...], apply: Apply, path: tuple[str, ...], elements: bool) -> Run:
    """The first of several fields that gives something."""

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        for read in readers:
            raw = read(rows)
            if raw:
                value = apply(raw, scope)
                if value is not None:
                    _put(out, path, value, elements)
                    return

    return run


def _from_many(
    readers: tuple[Read, ...],
    place: int,
    number: int,
    apply: Apply,
    path: tuple[str, ...],
    many: bool,
    elements: bool,
) -> Run:
    """Several fields for one function; the first, which stands at `place` and `number`, may delete the element."""

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        raws = [read(rows) for read in readers]
        if readers and not raws[0] and _is_null(rows[place], number):
            _delete(out, path, scope)
            return
        if readers and not any(raws):
            return
        value = apply(*raws, scope)
        if value is None:
            return
        if many:
            _append(out, path, value)
        else:
            _put(out, path, value, elements)

    return run


def _is_null(fields: Fields, number: int) -> bool:
    return number < len(fields) and fields[number] == NULL


def _adding(rule: Rule, places: dict[str, int], apply: Apply, path: tuple[str, ...], repeats: bool) -> Run:
    """Every repetition of the field, in every segment of the group, adds to a list."""
    candidates = tuple((places[name.segment], name.number, name.component) for name in rule.fields)

    def add(fields: Fields, number: int, component: int | None, scope: Scope, out: Resource) -> bool:
        if number >= len(fields):
            return False
        raw = fields[number]
        if not raw:
            return False
        if raw == NULL:
            _delete(out, path, scope)
            return True
        added = False
        for repetition, each in enumerate((raw,) if repeats or "~" not in raw else raw.split("~")):
            if component is not None:
                parts = each.split("^")
                each = parts[component - 1] if component <= len(parts) else ""
            if not each or each == NULL:
                continue
            scope.repetition = repetition
            value = apply(each, scope)
            if value is not None:
                _append(out, path, value)
                added = True
        scope.repetition = 0
        return added

    only = candidates[0] if len(candidates) == 1 else None

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        if only is not None and more is None:
            place, number, component = only
            fields = rows[place]
            if number < len(fields) and fields[number]:
                add(fields, number, component, scope, out)
            return
        for place, number, component in candidates:
            added = add(rows[place], number, component, scope, out)
            if more is not None and place in more:
                for fields in more[place]:
                    added = add(fields, number, component, scope, out) or added
            if added:
                return

    return run


def _id_maker(rule: Rule, places: dict[str, int], facility: str, tables: Tables) -> IdMaker:
    function = ID_FUNCTIONS[rule.function or ""]
    make = function.make(_options(rule, facility, tables))
    readers = tuple(_reader(name, places, whole=function.repeats) for name in rule.sources)

    def run(rows: Rows, within: str, scope: Scope) -> str | None:
        found: str | None = make(*[read(rows) for read in readers], within, scope)
        return found

    return run
