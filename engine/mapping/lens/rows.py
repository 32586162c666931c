"""How does a row write? Elements of a resource into fields of its group, each where it is read again as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.codecs.er7 import NULL, Raw, Repetition
from engine.errors import MappingError
from engine.mapping.definition import FieldName, ResourceRules, Rule
from engine.mapping.elements import found_in
from engine.mapping.lens.back import Back, Field, component, raw
from engine.mapping.lens.structures import Structure
from engine.mapping.lens.tree import Fields, Node
from engine.mapping.mapped import Resource
from engine.mapping.registry import FUNCTIONS, Apply, Function, Options, Put
from engine.mapping.scope import Scope
from engine.terminology import Tables

_WRONG_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What a put function meets in a resource that is no valid FHIR."""


@dataclass(frozen=True, slots=True)
class Way:
    """A row with its function both ways."""

    rule: Rule
    function: Function
    get: Apply
    put: Put

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.rule.to.split("."))


def ways_of(entry: ResourceRules, facility: str, tables: Tables) -> tuple[Way, ...]:
    """The rows of an entry that write, in their order."""
    return tuple(_ways(entry.rules, facility, tables))


def _ways(rules: Sequence[Rule], facility: str, tables: Tables) -> Iterator[Way]:
    for rule in rules:
        if rule.both and rule.function is not None:
            function = FUNCTIONS[rule.function]
            if function.put is not None:
                options = Options(facility, tables, rule.argument, tables[rule.table] if rule.table else None)
                yield Way(rule, function, function.make(options), function.put(options))


class Pen:
    """Writes resources into the groups of one message."""

    def __init__(self, back: Back, structure: Structure, scope: Scope) -> None:
        self._back = back
        self._structure = structure
        self._scope = scope

    def write(self, ways: Sequence[Way], resource: Resource, node: Node) -> None:
        """Writes what can be written. Raises MappingError where an element is not what FHIR says it is."""
        lists: dict[str, list[Way]] = {}
        for way in ways:
            if way.rule.many and not way.function.elements:
                lists.setdefault(way.rule.to, []).append(way)
        for way in ways:
            if not way.rule.many or way.function.elements:
                self._write_one(way, resource, node)
            elif lists[way.rule.to][0] is way:
                self._write_list(lists[way.rule.to], resource, node)

    def parts(self, ways: Sequence[Way], resource: Resource, starts: Sequence[str]) -> list[Resource]:
        """A resource cut into parts: each has one of the entries that a group's first segment says, and the rest."""
        written: dict[str, list[Way]] = {}
        for way in ways:
            if way.rule.fields[0].segment in starts and not way.function.elements and len(way.path) == 1:
                written.setdefault(way.rule.to, []).append(way)
        rest = {name: value for name, value in resource.items() if name not in written}
        parts: list[Resource] = []
        for name, those in written.items():
            value = resource.get(name)
            for entry in value if isinstance(value, list) else [value]:
                if entry is not None and any(self._put(way, entry) is not None for way in those):
                    parts.append({**rest, name: [entry] if isinstance(value, list) else entry})
        return parts

    def _write_one(self, way: Way, resource: Resource, node: Node) -> None:
        container = _container(resource, way.path[:-1])
        name = way.path[-1]
        if way.function.elements:
            element: Any = container
        elif name not in container:
            return
        else:
            element = container[name]
        if element is None:
            self._place(way, Raw(NULL), node)
            return
        found = self._put(way, element)
        if isinstance(found, list) and all(isinstance(each, dict) for each in found):
            # The segments that this one stands for come one after another, the first beside what other rows write.
            first, *further = found
            self._place(way, first, node)
            self._add_segments(way, further, node)
        elif found is not None:
            self._place(way, found, node)

    def _write_list(self, ways: Sequence[Way], resource: Resource, node: Node) -> None:
        container = _container(resource, ways[0].path[:-1])
        elements = container.get(ways[0].path[-1], ())
        if elements is None:
            self._place(ways[0], Raw(NULL), node)
            return
        for element in elements:
            candidates = [(way, found) for way in ways if (found := self._put(way, element)) is not None]
            if len(candidates) > 1:
                candidates.sort(key=lambda candidate: self._distance(candidate[0], candidate[1], element))
            for way, found in candidates:
                if self._place(way, found, node):
                    break

    def _put(self, way: Way, element: Any) -> Any:
        try:
            return way.put(element, self._back) or None
        except _WRONG_SHAPE as error:
            place = str(way.rule.fields[0]) if way.rule.fields else way.rule.to
            text = f"rule {way.rule.id} cannot write {way.rule.to} into {place} ({type(error).__name__})"
            raise MappingError(text, location=place, rule=way.rule.id, code="not-writable") from error

    def _distance(self, way: Way, found: Any, element: Any) -> int:
        """0 where the field is read again as this element, 1 where more is read than it says, 2 where it is not."""
        fields = found if isinstance(found, dict) else {0: found}
        raws: list[Any] = [raw(fields[at]) if at in fields else "" for at in range(len(way.rule.sources))]
        again = way.get(*([[each] for each in raws] if way.function.gathers else raws), self._scope)
        self._scope.doubts.clear()
        if way.function.gathers and isinstance(again, list) and len(again) == 1:
            again = again[0]
        if again == element:
            return 0
        return 1 if _says(again, element) else 2

    def _place(self, way: Way, found: Any, node: Node) -> bool:
        """Puts fields into their segments; False where there is no room for them."""
        if isinstance(found, dict):
            named = self._named(way, found)
            if way.rule.many and not way.function.elements:
                return self._set_together(way, named, node)
            placed = [self._set(way, name, value, node) for name, value in named]
            return bool(placed) and placed[0]
        targets = self._targets(way.rule)
        placed = [self._set(way, name, found, node) for name in targets]
        return bool(placed) and placed[0]

    def _named(self, way: Way, found: Mapping[int, Field]) -> list[tuple[FieldName, Field]]:
        """Fields by their name, without those that say nothing and those that the version lacks."""
        named = [(way.rule.sources[at], value) for at, value in sorted(found.items()) if raw(value)]
        return [(name, value) for name, value in named if self._has(name)]

    def _add_segments(self, way: Way, further: Sequence[Mapping[int, Field]], node: Node) -> None:
        """Puts each entry into a segment of its own, beside those that are there."""
        for found in further:
            by_segment: dict[str, Fields] = {}
            for name, value in self._named(way, found):
                by_segment.setdefault(name.segment, {})[name.number] = value
            for segment, fields in by_segment.items():
                node.holder(segment).segments.setdefault(segment, []).append(fields)

    def _has(self, name: FieldName) -> bool:
        return self._structure.has_segment(name.segment) and self._structure.has_field(name.segment, name.number)

    def _targets(self, rule: Rule) -> list[FieldName]:
        """Where a row with one field writes: what it says itself, else the first field that the version has."""
        known = [name for name in rule.writes or rule.fields if self._has(name)]
        return known if rule.writes else known[:1]

    def _set_together(self, way: Way, named: Sequence[tuple[FieldName, Field]], node: Node) -> bool:
        """Puts one entry of a list into fields of one segment: the first that has none of them, else a further one.

        What the entry says in other segments, such as what a whole document is, they say once.
        """
        if not named or any(name.component is not None for name, _ in named):
            return False
        segment = named[0][0].segment
        elsewhere = [(name, value) for name, value in named if name.segment != segment]
        named = [(name, value) for name, value in named if name.segment == segment]
        holder = node.holder(segment)
        segments = holder.segments.setdefault(segment, [{}])
        wanted = {name.number: value for name, value in named}
        if any(_holds(fields, wanted) for fields in segments):
            return True
        is_gathered = way.function.gathers and segment == way.rule.sources[0].segment
        gathered = way.rule.sources if is_gathered else [name for name, _ in named]
        numbers = {name.number for name in gathered if name.segment == segment}
        free = next((fields for fields in segments if not numbers & fields.keys()), None)
        if free is None:
            repeats = self._structure.segment_repeats(segment) or (is_gathered and self._may_be_several(segment))
            if segment in holder.group.starts or not repeats:
                return False
            free = {}
            segments.append(free)
        free.update(wanted)
        for name, value in elsewhere:
            self._set(way, name, value, node)
        return True

    def _may_be_several(self, segment: str) -> bool:
        """Whether a group around it repeats, which for a function that gathers is the same."""
        return segment in self._structure.order and self._structure.places(segment) is None

    def _set(self, way: Way, name: FieldName, value: Field, node: Node) -> bool:
        holder = node.holder(name.segment)
        segments = holder.segments.setdefault(name.segment, [{}])
        number = name.number
        for fields in segments if way.rule.many else segments[:1]:
            if name.component is not None:
                if _set_component(fields, number, name.component, value):
                    return True
                continue
            if number not in fields:
                fields[number] = value
                return True
            already = fields[number]
            if isinstance(already, dict):
                continue
            if raw(already) == raw(value) or raw(value) in (raw(each) for each in _repetitions(already)):
                return True
            if way.rule.many and not way.function.repeats and self._structure.field_repeats(name.segment, number):
                fields[number] = [*_repetitions(already), *_repetitions(value)]
                return True
        if way.rule.many and name.segment not in holder.group.starts and self._structure.segment_repeats(name.segment):
            segments.append({number: value})
            return True
        return False


def _holds(fields: Fields, wanted: Mapping[int, Field]) -> bool:
    return all(
        not isinstance(already := fields.get(number, ""), dict) and raw(already) == raw(value)
        for number, value in wanted.items()
    )


def _says(again: Any, element: Any) -> bool:
    """Whether what is read again says all of an element, and perhaps more."""
    if isinstance(element, dict):
        return isinstance(again, dict) and all(_says(again.get(key), value) for key, value in element.items())
    if isinstance(element, list):
        return isinstance(again, list) and all(any(_says(each, value) for each in again) for value in element)
    return bool(again == element)


def _container(resource: Resource, path: Sequence[str]) -> Mapping[str, Any]:
    found: Any = resource
    for name in path:
        found = found_in(found, name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _set_component(fields: Fields, number: int, at: int, value: Field) -> bool:
    parts = fields.setdefault(number, {})
    if not isinstance(parts, dict) or at in parts:
        return False
    whole = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    parts[at] = component(whole)
    return True


def _repetitions(value: Field) -> list[Repetition]:
    return value if isinstance(value, list) else [value]
