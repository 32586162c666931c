"""Where did each element come from? Follows the rules of one message, one by one, down to components and bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.codecs.er7 import Message
from engine.mapping.decisive import Cell, Entry, entries, leaves
from engine.mapping.definition import FieldName, Rule
from engine.mapping.elements import found_in
from engine.mapping.frame import Fields, Frame, More
from engine.mapping.mapped import FieldSource, Resource
from engine.mapping.places import Places
from engine.mapping.scope import Scope
from engine.mapping.single_rule import CompiledRule

_HEAD = re.compile(r"(?P<name>[^.\[]+)(?:\[\d+\])?")
"""The element of a path that stands in the resource itself, and which entry of it."""


class SourceTrail:
    """Gathers FieldSource while the rules run; only used when somebody asks, never on the fast path.

    Resources are made one after another: one `begins`, its rules are followed, it is settled, and then kept.
    """

    def __init__(self, message: Message, version: str) -> None:
        self._message = message
        self._version = version
        self._places = Places(message.lines.names)
        self._known: dict[str, Any] = {}
        self._said: dict[str, list[FieldSource]] = {}
        self._kept: dict[str, dict[str, list[FieldSource]]] = {}
        self._standing: dict[str, Resource] = {}
        self.ran: set[Rule] = set()
        """The rules that gave something."""

    @property
    def sources(self) -> list[FieldSource]:
        """Those of what stands in the resources now, resource after resource."""
        found: list[FieldSource] = []
        for owner, kept in self._kept.items():
            standing = _flat(self._standing[owner])
            found.extend(each for path, those in kept.items() if path in standing for each in those)
        return found

    def begins(self, resource: Resource) -> None:
        """Rules are about to run; what the resource holds already was not said by them."""
        self._known = _flat(resource)
        self._said = {}

    def keep(self, resource: Resource, before: Resource, standing: Resource) -> None:
        """The resource was made: it is `standing` itself, or was merged into it, which held `before` until then."""
        owner = _owner(resource)
        self._standing[owner] = standing
        kept = self._kept.setdefault(owner, {})
        places = dict(_merged(resource, before, standing)) if standing is not resource else None
        made = _flat(resource)
        for path in filter(made.__contains__, self._said):
            place = _placed_at(path, places) if places is not None else path
            if place is not None:
                kept[place] = [replace(each, path=place) for each in self._said[path]]

    def follow(
        self,
        compiled: CompiledRule,
        resource: Resource,
        segments: Sequence[str],
        rows: Sequence[int],
        extra: Mapping[int, tuple[int, ...]],
        frame: Frame,
        more: More,
        scope: Scope,
    ) -> None:
        """Notes what a rule has just written into the resource."""
        rule = compiled.rule
        owner = _owner(resource)
        new = self._new(resource)
        if _has_written(compiled, resource, new):
            self.ran.add(rule)
        if not new:
            return
        if not rule.fields or compiled.function is None:
            self._say(owner, new, rule)
            return
        positions = {name: [rows[place], *extra.get(place, ())] for place, name in enumerate(segments)}
        held: dict[tuple[int, str], Fields] = {
            (at, name): fields
            for place, name in enumerate(segments)
            for at, fields in zip(positions[name], (frame[place], *more.get(place, ())), strict=True)
        }

        def read(position: int, name: FieldName) -> str:
            return held[position, name.segment][name.number]

        given = list(self._placed(compiled, resource, entries(compiled, positions, read, scope)))
        filled = [
            Cell(name, at, 0, raw)
            for name in rule.fields
            for at in positions[name.segment][:1]
            if (raw := read(at, name))
        ]
        for leaf in new:
            known = next(((root, entry) for root, entry in given if _is_in(leaf, root, entry)), None)
            root = known[0] if known is not None else rule.to
            cells = known[1].cells(_below(leaf, root)) if known is not None else filled
            self._said[leaf] = [self._source(owner, leaf, root, compiled, each) for each in cells if each.position >= 0]

    def settle(self, resource: Resource, compiled: Sequence[CompiledRule], references: Sequence[Rule]) -> None:
        """Notes what stands there now and no field said: references to other resources, and defaults."""
        owner = _owner(resource)
        defaults = [each.rule for each in compiled if each.rule.default is not None]
        for leaf in self._new(resource):
            around = [rule for rule in (*references, *defaults) if _is_below(leaf, rule.to)]
            within = [rule for rule in around if rule.refer is not None and f".{rule.argument}." in leaf]
            for rule in (within or around)[:1]:  # a further reference repeats the entry around it
                self._say(owner, [leaf], rule)

    def _placed(
        self, compiled: CompiledRule, resource: Resource, found: Sequence[Entry]
    ) -> Iterator[tuple[str, Entry]]:
        """What the rule gave with the path below which it stands: of an entry of a list, that entry."""
        path, function = compiled.path, compiled.function
        assert function is not None
        if not compiled.rule.many:
            within = path[:-1] if function.elements else path
            yield from ((".".join(within), entry) for entry in found)
            return
        values: Any = resource
        for name in path:
            values = found_in(values, name) or {}
        stated = [dict(leaves("", value)) for value in values] if isinstance(values, list) else []
        for entry in (part for each in found for part in (each.apart() if function.gathers else [each])):
            if entry.leaves in stated:
                yield f"{'.'.join(path)}[{stated.index(entry.leaves)}]", entry

    def _new(self, resource: Resource) -> list[str]:
        """The paths that hold another value than when this was asked last."""
        before, self._known = self._known, _flat(resource)
        return [path for path, value in self._known.items() if path not in before or before[path] != value]

    def _say(self, owner: str, paths: Sequence[str], rule: Rule) -> None:
        """Notes what a rule says by itself: a constant, a reference, a default."""
        for path in paths:
            self._said[path] = [FieldSource(owner, path, rule.id, self._version, "", 0, 0)]

    def _source(self, owner: str, leaf: str, root: str, compiled: CompiledRule, cell: Cell) -> FieldSource:
        component = cell.name.component or self._component(_below(leaf, root), compiled)
        start, end = self._message.byte_range(cell.position, cell.name.number, cell.repetition, component)
        if start == end:
            component = cell.name.component
            start, end = self._message.byte_range(cell.position, cell.name.number, cell.repetition, component)
        plain = FieldName(cell.name.segment, cell.name.number)
        field = f"{self._places.of(plain, cell.position)}[{cell.repetition + 1}]"
        if component is not None:
            field = f"{field}.{component}"
        return FieldSource(owner, leaf, compiled.rule.id, self._version, field, start, end)

    def _component(self, below: str, compiled: CompiledRule) -> int | None:
        parts = compiled.function.parts if compiled.function is not None else {}
        return parts.get(below.lstrip(".").partition(".")[0].partition("[")[0])


def _has_written(compiled: CompiledRule, resource: Resource, new: Sequence[str]) -> bool:
    """Whether a rule has just written something, as far as that can be told from what is there and what is new."""
    if compiled.rule.many:
        return any(path.startswith(f"{compiled.rule.to}[") for path in new)
    target: Any = resource
    for name in compiled.path[:-1]:
        target = found_in(target, name) or {}
    name = compiled.target
    if compiled.function is not None and compiled.function.elements:
        stem = name.removesuffix("[x]")
        return any(key.lstrip("_").startswith(stem) for key in target)
    return name in target


def _merged(resource: Resource, before: Resource, standing: Resource) -> Iterator[tuple[str, str]]:
    """Of what a resource says, the elements and entries that were taken, and where they stand; see `joining.merge`."""
    for name, value in resource.items():
        already = before.get(name)
        if already is None:
            if standing.get(name) is value:
                yield name, name
        elif isinstance(already, list) and isinstance(value, list):
            added = [number for number, each in enumerate(value) if each not in already]
            yield from ((f"{name}[{number}]", f"{name}[{at}]") for at, number in enumerate(added, len(already)))


def _placed_at(path: str, places: Mapping[str, str]) -> str | None:
    """Where a path of the merged resource stands; None where the other one said it already."""
    head = _HEAD.match(path)
    assert head is not None
    if head["name"] in places:
        return path
    entry = places.get(head[0])
    return entry + path[head.end() :] if entry is not None else None


def _flat(resource: Resource) -> dict[str, Any]:
    return {path.removeprefix("."): value for path, value in leaves("", resource)}


def _owner(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _is_in(leaf: str, root: str, entry: Entry) -> bool:
    return leaf.startswith(root) and _below(leaf, root) in entry.leaves


def _below(leaf: str, root: str) -> str:
    return leaf[len(root) :] if root else f".{leaf}"


def _is_below(path: str, element: str) -> bool:
    return path == element or path.startswith((f"{element}.", f"{element}["))
