"""Where did each element come from? Follows the rules of one message, one by one, down to components and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.codecs.er7 import Message
from engine.mapping.definition import FieldName, Rule
from engine.mapping.elements import found_in
from engine.mapping.frame import Frame
from engine.mapping.mapped import FieldSource, Resource
from engine.mapping.places import Places
from engine.mapping.single_rule import CompiledRule


class SourceTrail:
    """Gathers FieldSource while the rules run; only used when somebody asks, never on the fast path."""

    def __init__(self, message: Message, version: str) -> None:
        self._message = message
        self._version = version
        self._places = Places(message.lines.names)
        self._before: dict[tuple[str, str], int] = {}
        self._joins: dict[str, Resource] = {}
        self.sources: list[FieldSource] = []
        self.ran: set[Rule] = set()
        """The rules that gave something."""

    def begins(self, owner: str, joins: Resource | None) -> None:
        """A resource is made anew; `joins` is the one of the same id that its lists will be added to."""
        for key in [key for key in self._before if key[0] == owner]:
            del self._before[key]
        self._joins[owner] = joins or {}

    def follow(
        self,
        compiled: CompiledRule,
        resource: Resource,
        segments: Sequence[str],
        rows: Sequence[int],
        more: Mapping[int, tuple[int, ...]],
        frame: Frame,
    ) -> None:
        """Notes what a rule has just written into the resource."""
        rule = compiled.rule
        owner = f"{resource['resourceType']}/{resource['id']}"
        written = list(self._written(compiled, resource, owner))
        if written:
            self.ran.add(rule)
        if not written or not rule.fields:
            return
        if not rule.many:
            fields = [name for name in rule.fields if _says_something(name, segments, frame)] or [rule.fields[0]]
            taken = fields if len(rule.sources) > 1 else fields[:1]
            for path, value in written:
                for leaf, _ in _leaves(path, value):
                    for name in taken:
                        self._note(owner, leaf, path, compiled, name, rows[segments.index(name.segment)], 0)
            return
        origins = [
            (name, position, repetition)
            for name in rule.fields
            for position in (rows[segments.index(name.segment)], *more.get(segments.index(name.segment), ()))
            if position >= 0
            for repetition, raw in enumerate(self._message.segments[position].repetitions(name.number))
            if raw
        ]
        for (path, value), (name, position, repetition) in zip(written, origins, strict=False):
            for leaf, _ in _leaves(path, value):
                self._note(owner, leaf, path, compiled, name, position, repetition)

    def _written(self, compiled: CompiledRule, resource: Resource, owner: str) -> Iterator[tuple[str, Any]]:
        """Paths and values that the rule has just added, as far as they can be told from those that were there."""
        target: Any = resource
        for name in compiled.path[:-1]:
            target = found_in(target, name) or {}
        around = ".".join(compiled.path[:-1])
        prefix = f"{around}." if around else ""
        name = compiled.target
        if compiled.rule.many:
            values = target.get(name) or []
            first = self._before.get((owner, compiled.rule.to), 0)
            self._before[owner, compiled.rule.to] = len(values)
            joined = len(found_in(self._joins.get(owner, {}), name) or []) if not prefix else 0
            for number in range(first, len(values)):
                yield f"{prefix}{name}[{joined + number}]", values[number]
        elif compiled.function is not None and compiled.function.elements:
            stem = name.removesuffix("[x]")
            for key, value in target.items():
                if key.lstrip("_").startswith(stem):
                    yield f"{prefix}{key}", value
        elif name in target:
            yield f"{prefix}{name}", target[name]

    def _note(
        self,
        owner: str,
        leaf: str,
        path: str,
        compiled: CompiledRule,
        name: FieldName,
        position: int,
        repetition: int,
    ) -> None:
        if position < 0:
            return
        component = name.component or self._component(leaf, path, compiled)
        start, end = self._message.byte_range(position, name.number, repetition, component)
        field = f"{self._places.of(FieldName(name.segment, name.number), position)}[{repetition + 1}]"
        if component is not None:
            field = f"{field}.{component}"
        self.sources.append(FieldSource(owner, leaf, compiled.rule.id, self._version, field, start, end))

    def _component(self, leaf: str, path: str, compiled: CompiledRule) -> int | None:
        parts = compiled.function.parts if compiled.function is not None else {}
        element = leaf[len(path) :].lstrip(".").partition(".")[0].partition("[")[0]
        return parts.get(element)


def _says_something(name: FieldName, segments: Sequence[str], frame: Frame) -> bool:
    fields = frame[segments.index(name.segment)]
    return name.number < len(fields) and bool(fields[name.number])


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}[{number}]", inner)
    else:
        yield path, value
