"""How does a rule run? Rules become closures over the place of a segment in a frame and the number of a field in it.

A frame holds the fields of each segment that a resource's rules read; where the segment is missing it holds nothing.
Later segments of the same name (NTE after NTE) stand beside it and reach only rules that add to a list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from engine.codecs.er7 import NULL
from engine.finding import Severity
from engine.mapping.definition import FieldName, ResourceRules, Rule
from engine.mapping.mapped import Resource
from engine.mapping.registry import FUNCTIONS, ID_FUNCTIONS, Apply, Function, Options, Value
from engine.mapping.scope import Scope
from engine.terminology import Tables

Fields = Sequence[str]
Rows = Sequence[Fields]
More = dict[int, list[Fields]]
EMPTY: Fields = ()
LIMIT_REMEMBERED = 8192
"""Distinct texts that a rule remembers; a feed has some hundred."""

Run = Callable[[Rows, "More | None", Scope, Resource], None]
IdMaker = Callable[[Rows, str, Scope], "str | None"]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that runs, and what must be known of it to say where something came from."""

    rule: Rule
    run: Run
    function: Function | None
    path: tuple[str, ...]
    plain: PlainRule | None = None

    @property
    def target(self) -> str:
        return self.path[-1]


class PlainRule(NamedTuple):
    """One field, one element.

    known      what texts gave before, for a function that remembers
    carefully  the rule in full, for a field with repetitions or a deletion
    """

    number: int
    element: str
    known: dict[str, Value]
    apply: Apply
    adds: bool
    carefully: Run


@dataclass(frozen=True, slots=True)
class CompiledResource:
    """All that makes one resource of each group.

    says_more whether it adds to a resource that is made already
    reference what stands before the id in a reference to it
    segments  the names whose fields stand in a frame, by place
    plain     by place, the rules that put what one field gives into one element: most rules are such, and run fastest;
              listed by how many fields the segment has, for most segments end before their last fields
    others    the rest in their order, listed by how many fields the segment has that most of them read alone
    """

    rules: ResourceRules
    says_more: bool
    reference: str
    segments: tuple[str, ...]
    compiled: tuple[CompiledRule, ...]
    plain: tuple[tuple[int, int, tuple[tuple[PlainRule, ...], ...]], ...]
    others: tuple[int, int, tuple[tuple[Run, ...], ...]]
    references: tuple[Rule, ...]
    defaults: tuple[tuple[tuple[str, ...], str], ...]
    make_id: IdMaker
    needed: tuple[CompiledRule, ...]

    def complete(self, out: Resource) -> None:
        """Puts the defaults where no rule gave anything."""
        for path, default in self.defaults:
            target = container(out, path)
            if target.get(path[-1]) is None:
                target[path[-1]] = default

    def run(self, rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        """Runs every rule; which one has a doubt or fails is not said (each rule's own `run` is for that)."""
        if more is not None:
            for compiled in self.compiled:
                compiled.run(rows, more, scope, out)
            return
        for place, last, plain in self.plain:
            fields = rows[place]
            count = len(fields)
            for number, name, known, apply, adds, carefully in plain[count if count < last else last]:
                raw = fields[number]
                if not raw:
                    continue
                if "~" in raw or raw == NULL or (adds and name in out):
                    carefully(rows, None, scope, out)
                    continue
                value = known.get(raw)
                if value is None:
                    value = apply(raw, scope)
                if value is not None:
                    out[name] = [value] if adds else value
        place, last, others = self.others
        count = len(rows[place]) if last else 0
        for run in others[count if count < last else last]:
            run(rows, None, scope, out)


def compile_resource(rules: ResourceRules, facility: str, tables: Tables) -> CompiledResource:
    segments: list[str] = []
    for rule in (rules.id, *rules.rules):
        for name in rule.fields:
            if name.segment not in segments:
                segments.append(name.segment)
    places = {name: place for place, name in enumerate(segments)}
    compiled = _keeping_order(
        tuple(_rule(rule, places, facility, tables) for rule in rules.rules if rule.refer is None)
    )
    return CompiledResource(
        rules=rules,
        says_more=rules.says_more,
        reference=f"{rules.resource}/",
        segments=tuple(segments),
        compiled=compiled,
        plain=_plain(compiled, places),
        others=_others(compiled, places),
        references=tuple(rule for rule in rules.rules if rule.refer is not None),
        defaults=tuple((each.path, each.rule.default) for each in compiled if each.rule.default is not None),
        make_id=_id_maker(rules.id, places, facility, tables),
        needed=tuple(each for each in compiled if each.rule.needed),
    )


def _plain(
    compiled: tuple[CompiledRule, ...], places: dict[str, int]
) -> tuple[tuple[int, int, tuple[tuple[PlainRule, ...], ...]], ...]:
    by_place: dict[int, list[PlainRule]] = {}
    for each in compiled:
        if each.plain is not None:
            by_place.setdefault(places[each.rule.sources[0].segment], []).append(each.plain)
    listed = []
    for place, rules in by_place.items():
        last = max(rule.number for rule in rules) + 1
        by_count = (tuple(rule for rule in rules if rule.number < count) for count in range(last + 1))
        listed.append((place, last, tuple(by_count)))
    return tuple(listed)


def _others(compiled: tuple[CompiledRule, ...], places: dict[str, int]) -> tuple[int, int, tuple[tuple[Run, ...], ...]]:
    rules = [each for each in compiled if each.plain is None]
    alone = [each.rule.fields[0] for each in rules if len(each.rule.fields) == 1]
    if not alone:
        return 0, 0, (tuple(each.run for each in rules),)
    segment = Counter(name.segment for name in alone).most_common(1)[0][0]
    last = max(name.number for name in alone if name.segment == segment) + 1
    by_count = (
        tuple(each.run for each in rules if not _ends_before(each.rule, segment, count)) for count in range(last + 1)
    )
    return places[segment], last, tuple(by_count)


def _ends_before(rule: Rule, segment: str, count: int) -> bool:
    """Whether the one field that a rule reads is beyond the fields that its segment has."""
    return len(rule.fields) == 1 and rule.fields[0].segment == segment and rule.fields[0].number >= count


def _keeping_order(compiled: tuple[CompiledRule, ...]) -> tuple[CompiledRule, ...]:
    """The rules, of which one is plain only when it can run before the others: nobody else writes its element."""
    writers = Counter(each.rule.to for each in compiled)
    return tuple(each if writers[each.rule.to] == 1 else replace(each, plain=None) for each in compiled)


def _path(rule: Rule) -> tuple[str, ...]:
    return tuple(rule.to.split("."))


def _options(rule: Rule, facility: str, tables: Tables) -> Options:
    return Options(facility, tables, rule.argument, tables[rule.table] if rule.table else None)


def _rule(rule: Rule, places: dict[str, int], facility: str, tables: Tables) -> CompiledRule:
    path = _path(rule)
    if rule.value is not None:
        return CompiledRule(rule, _constant(path, rule.many, _literal(rule.value)), None, path)
    function = FUNCTIONS[rule.function or "text"]
    known: dict[str, Value] = {}
    apply = function.make(_options(rule, facility, tables))
    if function.remember:
        apply = _remembering(apply, known)
    if function.gathers:
        run = _from_all(_positions(rule.sources, places), apply, path, rule.many, function)
    elif len(rule.sources) != 1:
        run = _from_many(_positions(rule.sources, places), apply, path, rule.many, function)
    elif rule.many:
        run = _adding(rule, places, apply, path, function.repeats)
    elif rule.otherwise or rule.sources[0].component is not None:
        run = _from_first(_positions(rule.fields, places), apply, path, function)
    else:
        place, number = places[rule.sources[0].segment], rule.sources[0].number
        run = _from_one(place, number, apply, path, function)
    plain = None
    if _is_plain(rule, function):
        plain = PlainRule(rule.sources[0].number, rule.to, known, apply, rule.many, run)
    return CompiledRule(rule, run, function, path, plain)


def _is_plain(rule: Rule, function: Function) -> bool:
    one_field = len(rule.fields) == 1 and rule.fields[0].component is None
    return one_field and "." not in rule.to and not function.elements and not function.gathers


def _remembering(apply: Apply, known: dict[str, Value]) -> Apply:
    """Remembers what a text gave, unless there was a doubt: that has to be noted each time."""

    def remembering(raw: str, scope: Scope) -> Value:
        value = known.get(raw)
        if value is None:
            noted = len(scope.doubts)
            value = apply(raw, scope)
            if value is not None and len(scope.doubts) == noted:
                if len(known) >= LIMIT_REMEMBERED:
                    known.clear()
                known[raw] = value
        return value

    return remembering


def _literal(value: str) -> Any:
    return {"true": True, "false": False}.get(value, value)


_FIRST = "[0]"
"""After the name of a list: its first entry, made where there is none (`dosageInstruction[0].route`)."""


def container(out: Resource, path: tuple[str, ...]) -> Resource:
    for name in path[:-1]:
        plain = name.removesuffix(_FIRST)
        inner: Any = out.get(plain)
        if not inner:
            inner = out[plain] = {} if plain == name else [{}]
        out = inner if plain == name else inner[0]
    return out


def found_in(out: Resource, name: str) -> Any:
    """What stands under a step of a path, without making it."""
    plain = name.removesuffix(_FIRST)
    inner = out.get(plain)
    return inner if plain == name or not inner else inner[0]


def _put(out: Resource, path: tuple[str, ...], value: Any, elements: bool) -> None:
    target = container(out, path) if len(path) > 1 else out
    if not elements:
        target[path[-1]] = value
        return
    for key, part in value.items():
        if key == "extension" and target.get("extension"):
            target["extension"] = [*target["extension"], *part]
        else:
            target[key] = part


def _delete(out: Resource, path: tuple[str, ...], scope: Scope) -> None:
    """HL7 null: the element is to be deleted. For a choice of types (`value[x]`) nobody can say which one."""
    name = path[-1]
    if name.endswith("[x]"):
        scope.doubt("deletion-not-applied", "the sender deletes a value here; nothing was deleted")
        return
    if any(step.endswith(_FIRST) for step in path):
        return  # the list is said anew by every message: what is not in it is gone
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
        target[name] = [*already, value]


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


Position = tuple[int, int, int | None]
"""Place in the frame, number of the field, number of the component."""


def _positions(names: Sequence[FieldName], places: dict[str, int]) -> tuple[Position, ...]:
    return tuple((places[name.segment], name.number, name.component) for name in names)


def _reader(positions: tuple[Position, ...], *, whole: bool) -> Callable[[Rows], list[str]]:
    """Reads fields or components, empty where there is nothing or a null; of repetitions the first unless `whole`."""
    plain = tuple((place, number) for place, number, component in positions if component is None)

    def carefully(rows: Rows) -> list[str]:
        return [
            _cut(rows[place][number], component, whole) if number < len(rows[place]) else ""
            for place, number, component in positions
        ]

    def read(rows: Rows) -> list[str]:
        raws = [rows[place][number] if number < len(rows[place]) else "" for place, number in plain]
        if NULL in raws or (not whole and any("~" in raw for raw in raws)):
            return carefully(rows)
        return raws

    def read_one_segment(rows: Rows) -> list[str]:
        fields = rows[first]
        count = len(fields)
        raws = [fields[number] if number < count else "" for number in numbers]
        if NULL in raws or (not whole and "~" in "".join(raws)):
            return carefully(rows)
        return raws

    if len(plain) != len(positions):
        return carefully
    places = {place for place, _ in plain}
    if len(places) == 1:
        first, numbers = places.pop(), tuple(number for _, number in plain)
        return read_one_segment
    return read


def _cut(raw: str, component: int | None, whole: bool) -> str:
    if raw == NULL:
        return ""
    if not whole and "~" in raw:
        raw = raw[: raw.index("~")]
    if component is None:
        return raw
    parts = raw.split("^")
    return parts[component - 1] if component <= len(parts) else ""


def _from_first(positions: tuple[Position, ...], apply: Apply, path: tuple[str, ...], function: Function) -> Run:
    """The first of several fields that gives something."""
    whole, elements = function.repeats, function.elements

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        for place, number, component in positions:
            fields = rows[place]
            if number < len(fields) and (raw := fields[number]) and (raw := _cut(raw, component, whole)):
                value = apply(raw, scope)
                if value is not None:
                    _put(out, path, value, elements)
                    return

    return run


def _from_many(
    positions: tuple[Position, ...], apply: Apply, path: tuple[str, ...], many: bool, function: Function
) -> Run:
    """Several fields for one function; the first may delete the element."""
    read, elements, nested = _reader(positions, whole=function.repeats), function.elements, len(path) > 1

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        raws = read(rows)
        if positions and not raws[0]:
            place, number, _ = positions[0]
            if _is_null(rows[place], number):
                _delete(out, path, scope)
                return
            if not any(raws):
                return
        value = apply(*raws, scope)
        if value is None:
            return
        if many:
            _append(out, path, value)
        elif elements and not nested and "extension" not in value:
            out.update(value)
        else:
            _put(out, path, value, elements)

    return run


def _from_all(
    positions: tuple[Position, ...], apply: Apply, path: tuple[str, ...], many: bool, function: Function
) -> Run:
    """Every segment of the group for one function: each field as a list, as long as there are such segments."""
    whole, elements = function.repeats, function.elements

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        gathered = [
            [
                _cut(fields[number], component, whole) if number < len(fields) else ""
                for fields in (rows[place], *(more.get(place, ()) if more is not None else ()))
            ]
            for place, number, component in positions
        ]
        if not any(any(each) for each in gathered):
            return
        value = apply(*gathered, scope)
        if value is None:
            return
        for each in value if many else (value,):
            if many:
                _append(out, path, each)
            else:
                _put(out, path, each, elements)

    return run


def _is_null(fields: Fields, number: int) -> bool:
    return number < len(fields) and fields[number] == NULL


def _adding(rule: Rule, places: dict[str, int], apply: Apply, path: tuple[str, ...], repeats: bool) -> Run:
    """Every repetition of the field, in every segment of the group, adds to a list."""
    candidates = _positions(rule.fields, places)

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

    first_place, first_number, first_component = candidates[0]
    simple = first_component is None

    def run(rows: Rows, more: More | None, scope: Scope, out: Resource) -> None:
        fields = rows[first_place]
        raw = fields[first_number] if first_number < len(fields) else ""
        if more is None and simple and raw and raw != NULL and "~" not in raw:
            # What nearly every message has: one repetition, in one segment.
            value = apply(raw, scope)
            if value is not None:
                _append(out, path, value)
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
    read = _reader(_positions(rule.sources, places), whole=function.repeats)

    def run(rows: Rows, within: str, scope: Scope) -> str | None:
        found: str | None = make(*read(rows), within, scope)
        return found

    return run
