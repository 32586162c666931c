"""In which order are the segments of a message written, and how are they counted?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from engine.codecs.er7 import Raw, Value
from engine.mapping.definition import Group
from engine.mapping.grouping import grouped
from engine.mapping.lens.back import raw
from engine.mapping.lens.structures import Structure
from engine.mapping.lens.tree import Fields, Node

_REQUIRED = (("RXA", 1, "0"), ("RXA", 2, "1"))
"""Counters that HL7 asks for and that nobody counts: as systems send them for one administration."""

Line = tuple[str, dict[int, Value]]


def laid_out(root: Node, structure: Structure, groups: Mapping[str, Group]) -> list[Line]:
    """The segments below MSH in their order, each with its number among its like where it has one."""
    _begin(root)
    return list(_Layout(structure, groups).lines(root, -1))


class _Layout:
    """Puts the segments of one message in their order, and counts them."""

    def __init__(self, structure: Structure, groups: Mapping[str, Group]) -> None:
        self._structure = structure
        self._counts: Counter[tuple[int, str]] = Counter()
        _, owners = grouped(structure.order, groups)
        self._owners = [owner.group.name if owner is not None else "" for owner in owners]
        """The group that takes a segment which stands in each place of the structure."""

    def lines(self, node: Node, base: int) -> Iterator[Line]:
        first = _first(node)
        base = self._place(first, node, base) if first else base
        items: list[tuple[int, int, str | Node]] = []
        for name in node.group.segments:
            if name in node.segments:
                items.append((base if name == first else self._place(name, node, base), len(items), name))
        for inner in node.inner:
            if starts := _first(inner):
                items.append((self._place(starts, inner, base), len(items), inner))
        for item in _readable([item for _, _, item in sorted(items, key=lambda each: each[:2])]):
            if isinstance(item, Node):
                yield from self.lines(item, base)
                continue
            for fields in node.segments[item]:
                around = node.outer if item in node.group.starts and node.outer is not None else node
                self._counts[id(around), item] += 1
                yield item, _numbered(item, fields, self._counts[id(around), item], self._structure)

    def _place(self, segment: str, node: Node, after: int) -> int:
        """Where a segment stands in the structure, after the beginning of its group: where its own group takes it.

        Last where the structure lacks it.
        """
        places = [at for at, name in enumerate(self._structure.order) if at > after and name == segment]
        own = next((at for at in places if self._owners[at] == node.group.name), None)
        return own if own is not None else next(iter(places), len(self._structure.order))


def _readable(items: list[str | Node]) -> list[str | Node]:
    """The same, with a group before another one that would take its first segment for one of its own.

    HL7 lets an OBX after SPM be a result or say something of the specimen; nobody who reads it can tell.
    """
    ordered: list[str | Node] = []
    for item in items:
        at = len(ordered)
        if isinstance(item, Node):
            takers = (
                n for n, each in enumerate(ordered) if isinstance(each, Node) and _first(item) in each.group.holds
            )
            at = next(takers, at)
        ordered.insert(at, item)
    return ordered


def _begin(node: Node) -> None:
    """A group that makes nothing itself begins with its segment wherever something of what is in it is written."""
    for inner in node.inner:
        _begin(inner)
    if not node.made and node.group.starts and not _first(node) and any(_first(inner) for inner in node.inner):
        node.segments[node.group.starts[0]] = [{}]


def _first(node: Node) -> str:
    """The segment that a group begins with; empty for a group of which nothing is written."""
    return next((name for name in node.group.segments if name in node.segments), "")


def _numbered(name: str, fields: Fields, number: int, structure: Structure) -> dict[int, Value]:
    written: dict[int, Value] = {at: text for segment, at, text in _REQUIRED if segment == name}
    if structure.begins_with_its_number(name):
        written[1] = str(number)
    for at, value in sorted(fields.items()):
        if isinstance(value, dict):
            last = max(value)
            written[at] = Raw("^".join(value.get(part, "") for part in range(1, last + 1)))
        else:
            written[at] = value if isinstance(value, Raw) else Raw(raw(value))
    return written
