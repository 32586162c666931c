"""How does one rule run by itself? With repetitions, deletions and everything else that a field may hold.

This says what a rule means. `straight` writes all rules of a resource as one function for what is usual, and comes back
to these for what is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.codecs.er7 import NULL
from engine.finding import Severity
from engine.mapping.definition import Rule
from engine.mapping.elements import Path, append, delete, put, put_elements
from engine.mapping.frame import Fields, Frame, More, component_of, cut, positions, reader
from engine.mapping.mapped import Resource
from engine.mapping.registry import FUNCTIONS, Apply, Function, Options, Value
from engine.mapping.remembering import Texts, noting, remembering, remembering_mentions
from engine.mapping.scope import Scope
from engine.mapping.unread_parts import Left
from engine.terminology import Tables

Run = Callable[[Frame, "More | None", Scope, Resource], None]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule that runs, and what must be known of it to say where something came from.

    function, apply  what reads its fields; None for a constant
    known            what texts gave before, None for nothing, for a function that remembers
    """

    rule: Rule
    run: Run
    path: Path
    function: Function | None = None
    apply: Apply | None = None
    known: Mapping[Texts, Value] | None = None

    @property
    def target(self) -> str:
        return self.path[-1]


def compile_rule(
    rule: Rule, places: Mapping[str, int], facility: str, tables: Tables, left: Sequence[Left | None] = ()
) -> CompiledRule:
    """`left`: for each of its fields what it is to look for besides, None for nothing."""
    path = tuple(rule.to.split("."))
    if rule.value is not None:
        return CompiledRule(rule, _constant(literal(rule.value), path, rule.many), path)
    function = FUNCTIONS[rule.function or "text"]
    apply = function.make(options_of(rule, facility, tables))
    known: dict[Texts, Value] | None = None
    if function.remember:
        known = {}
        apply = remembering(apply, known, len(rule.sources), left)
    elif function.mentions:
        apply = remembering_mentions(apply, len(rule.sources), left)
    elif (only := next(iter(left), None)) is not None:
        apply = noting(apply, only, gathers=function.gathers)
    if function.gathers:
        run = _from_all(rule, places, apply, path, function)
    elif len(rule.sources) != 1:
        run = _from_many(rule, places, apply, path, function)
    elif rule.many:
        run = _adding(rule, places, apply, path, function)
    elif rule.otherwise or rule.sources[0].component is not None:
        run = _from_first(rule, places, apply, path, function)
    else:
        run = _from_one(rule, places, apply, path, function)
    return CompiledRule(rule, run, path, function, apply, known)


def options_of(rule: Rule, facility: str, tables: Tables) -> Options:
    return Options(facility, tables, rule.argument, tables[rule.table] if rule.table else None)


def literal(value: str) -> Any:
    """A constant of the mapping file as JSON."""
    return {"true": True, "false": False}.get(value, value)


def _constant(value: Any, path: Path, many: bool) -> Run:
    place = append if many else put

    def run(frame: Frame, more: More | None, scope: Scope, out: Resource) -> None:
        place(out, path, value)

    return run


def _from_one(rule: Rule, places: Mapping[str, int], apply: Apply, path: Path, function: Function) -> Run:
    """The commonest rule: one field, one element."""
    ((place, number, _),) = positions(rule.sources, places)
    give = put_elements if function.elements else put

    def run(frame: Frame, more: More | None, scope: Scope, out: Resource) -> None:
        raw = frame[place][number]
        if not raw:
            return
        if raw == NULL:
            delete(out, path, scope)
            return
        if not function.repeats and "~" in raw:
            raw = _only_first(raw, scope)
        value = apply(raw, scope)
        if value is not None:
            give(out, path, value)

    return run


def _only_first(raw: str, scope: Scope) -> str:
    first, _, rest = raw.partition("~")
    if rest.replace("~", "").strip():
        scope.doubt("repetition-not-mapped", "only the first of several repetitions is taken", 0, Severity.INFORMATION)
    return first


def _from_first(rule: Rule, places: Mapping[str, int], apply: Apply, path: Path, function: Function) -> Run:
    """The first of several fields that gives something."""
    candidates = positions(rule.fields, places)
    give = put_elements if function.elements else put

    def run(frame: Frame, more: More | None, scope: Scope, out: Resource) -> None:
        for place, number, component in candidates:
            raw = cut(frame[place][number], component, function.repeats)
            value = apply(raw, scope) if raw else None
            if value is not None:
                give(out, path, value)
                return

    return run


def _from_many(rule: Rule, places: Mapping[str, int], apply: Apply, path: Path, function: Function) -> Run:
    """Several fields for one function, or none; the first may delete the element."""
    wanted = positions(rule.sources, places)
    read = reader(wanted, whole=function.repeats)
    give = append if rule.many else put_elements if function.elements else put

    def run(frame: Frame, more: More | None, scope: Scope, out: Resource) -> None:
        raws = read(frame)
        if wanted and not raws[0]:
            place, number, _ = wanted[0]
            if frame[place][number] == NULL:
                delete(out, path, scope)
                return
            if not any(raws):
                return
        value = apply(*raws, scope)
        if value is not None:
            give(out, path, value)

    return run


def _from_all(rule: Rule, places: Mapping[str, int], apply: Apply, path: Path, function: Function) -> Run:
    """Every segment of the group for one function: each field as a list, as long as there are such segments."""
    wanted = positions(rule.sources, places)
    give = put_elements if function.elements else put

    def run(frame: Frame, more: More | None, scope: Scope, out: Resource) -> None:
        gathered = [
            [
                cut(fields[number], component, function.repeats)
                for fields in (frame[place], *(more.get(place, ()) if more is not None else ()))
            ]
            for place, number, component in wanted
        ]
        if not any(any(each) for each in gathered):
            return
        value = apply(*gathered, scope)
        if value is None:
            return
        if not rule.many:
            give(out, path, value)
            return
        for each in value:
            append(out, path, each)

    return run


def _adding(rule: Rule, places: Mapping[str, int], apply: Apply, path: Path, function: Function) -> Run:
    """Every repetition of the field, in every segment of the group, adds to a list."""
    candidates = positions(rule.fields, places)

    def add(fields: Fields, number: int, component: int | None, scope: Scope, out: Resource) -> bool:
        raw = fields[number]
        if not raw:
            return False
        if raw == NULL:
            delete(out, path, scope)
            return True
        added = False
        for repetition, each in enumerate((raw,) if function.repeats else raw.split("~")):
            if component is not None:
                each = component_of(each, component)
            if not each or each == NULL:
                continue
            scope.repetition = repetition
            value = apply(each, scope)
            if value is not None:
                append(out, path, value)
                added = True
        scope.repetition = 0
        return added

    def run(frame: Frame, more: More | None, scope: Scope, out: Resource) -> None:
        for place, number, component in candidates:
            added = add(frame[place], number, component, scope, out)
            if more is not None and place in more:
                for fields in more[place]:
                    added = add(fields, number, component, scope, out) or added
            if added:
                return

    return run
