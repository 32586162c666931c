"""Where did each element come from? Follows the rules of one message, one by one, down to components and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


class SourceTrail:
    """Gathers FieldSource while the rules run; only used when somebody asks, never on the fast path."""

    def __init__(self, message: Message, version: str) -> None:
        self._message = message
        self._version = version
        self._places = Places(message.lines.names)
        self._before: dict[tuple[str, str], int] = {}
        self._joins: dict[str, Resource] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._noted: set[tuple[str, str]] = set()
        self.sources: list[FieldSource] = []
        self.ran: set[Rule] = set()
        """The rules that gave something."""

    def begins(self, owner: str, joins: Resource | None) -> None:
        """A resource is made anew; `joins` is the one of the same id that its lists will be added to."""
        for key in [key for key in self._before if key[0] == owner]:
            del self._before[key]
        self._joins[owner] = joins or {}
        self._known.pop(owner, None)

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
        if self._has_written(compiled, resource, owner):
            self.ran.add(rule)
        new = self._new(owner, resource)
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
            self._forget(owner, self._joined(owner, leaf))
            known = next(((root, entry) for root, entry in given if _is_in(leaf, root, entry)), None)
            root = known[0] if known is not None else rule.to
            for cell in known[1].cells(_below(leaf, root)) if known is not None else filled:
                self._note(owner, leaf, root, compiled, cell)

    def settle(self, resource: Resource, compiled: Sequence[CompiledRule], references: Sequence[Rule]) -> None:
        """Notes what stands there now and no field said: references to other resources, and defaults."""
        owner = _owner(resource)
        defaults = [each.rule for each in compiled if each.rule.default is not None]
        for leaf in self._new(owner, resource):
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

    def _has_written(self, compiled: CompiledRule, resource: Resource, owner: str) -> bool:
        """Whether a rule has just written something, as far as that can be told from what was there."""
        target: Any = resource
        for name in compiled.path[:-1]:
            target = found_in(target, name) or {}
        name = compiled.target
        if compiled.rule.many:
            count = len(target.get(name) or [])
            before, self._before[owner, compiled.rule.to] = self._before.get((owner, compiled.rule.to), 0), count
            return count > before
        if compiled.function is not None and compiled.function.elements:
            stem = name.removesuffix("[x]")
            return any(key.lstrip("_").startswith(stem) for key in target)
        return name in target

    def _new(self, owner: str, resource: Resource) -> list[str]:
        """The paths that hold another value than when this was asked last."""
        now = {path.removeprefix("."): value for path, value in leaves("", resource)}
        before = self._known.get(owner, {"resourceType": resource["resourceType"], "id": resource["id"]})
        self._known[owner] = now
        return [path for path, value in now.items() if path not in before or before[path] != value]

    def _say(self, owner: str, paths: Sequence[str], rule: Rule) -> None:
        """Notes what a rule says by itself: a constant, a reference, a default."""
        for path in paths:
            self._forget(owner, self._joined(owner, path))
            self._add(FieldSource(owner, self._joined(owner, path), rule.id, self._version, "", 0, 0))

    def _note(self, owner: str, leaf: str, root: str, compiled: CompiledRule, cell: Cell) -> None:
        if cell.position < 0:
            return
        component = cell.name.component or self._component(_below(leaf, root), compiled)
        start, end = self._message.byte_range(cell.position, cell.name.number, cell.repetition, component)
        if start == end:
            component = cell.name.component
            start, end = self._message.byte_range(cell.position, cell.name.number, cell.repetition, component)
        plain = FieldName(cell.name.segment, cell.name.number)
        field = f"{self._places.of(plain, cell.position)}[{cell.repetition + 1}]"
        if component is not None:
            field = f"{field}.{component}"
        self._add(FieldSource(owner, self._joined(owner, leaf), compiled.rule.id, self._version, field, start, end))

    def _joined(self, owner: str, path: str) -> str:
        """The path in the resource that this one is added to, whose lists have entries already."""
        name, bracket, rest = path.partition("[")
        already = self._joins.get(owner, {}).get(name)
        if not bracket or not isinstance(already, list):
            return path
        number, _, behind = rest.partition("]")
        return f"{name}[{len(already) + int(number)}]{behind}"

    def _add(self, source: FieldSource) -> None:
        self._noted.add((source.resource, source.path))
        self.sources.append(source)

    def _forget(self, owner: str, path: str) -> None:
        """A later rule says it otherwise."""
        if (owner, path) in self._noted:
            self._noted.discard((owner, path))
            self.sources = [each for each in self.sources if (each.resource, each.path) != (owner, path)]

    def _component(self, below: str, compiled: CompiledRule) -> int | None:
        parts = compiled.function.parts if compiled.function is not None else {}
        return parts.get(below.lstrip(".").partition(".")[0].partition("[")[0])


def _owner(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _is_in(leaf: str, root: str, entry: Entry) -> bool:
    return leaf.startswith(root) and _below(leaf, root) in entry.leaves


def _below(leaf: str, root: str) -> str:
    return leaf[len(root) :] if root else f".{leaf}"


def _is_below(path: str, element: str) -> bool:
    return path == element or path.startswith((f"{element}.", f"{element}["))
