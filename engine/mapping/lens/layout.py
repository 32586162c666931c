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

Line = tuple[str, dict[int, Value]]


def laid_out(root: Node, structure: Structure, groups: Mapping[str, Group]) -> list[Line]:
    """The segments below MSH in their order, each with its number among its like where it has one.

    The groups stand in that order afterwards, and those of which nothing is written are gone.
    """
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
                items.append((base if name == first else self._place(name, node, base, base), len(items), name))
        for inner in node.inner:
            if starts := _begins_with(inner):
                items.append((self._place(starts, _that_speaks(inner), base), len(items), inner))
        ordered = _readable([item for _, _, item in sorted(items, key=lambda each: each[:2])])
        node.inner = [item for item in ordered if isinstance(item, Node)]
        for item in ordered:
            if isinstance(item, Node):
                yield from self.lines(item, base)
                continue
            for fields in node.segments[item]:
                around = node.outer if item in node.group.starts and node.outer is not None else node
                self._counts[id(around), item] += 1
                yield item, _numbered(item, fields, self._counts[id(around), item], self._structure)

    def _place(self, segment: str, node: Node, after: int, otherwise: int | None = None) -> int:
        """Where a segment stands in the structure, after the beginning of its group: where its own group takes it.

        Where the structure lacks it, right behind that beginning. Where only other groups have a place for it: a group
        that it begins stands last, and what a group holds itself as `otherwise` says.
        """
        if segment not in self._structure.order:
            return after
        places = [at for at, name in enumerate(self._structure.order) if at > after and name == segment]
        own = (at for at in places if self._owners[at] == node.group.name)
        return next(own, len(self._structure.order) if otherwise is None else otherwise)


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


def begin(node: Node) -> None:
    """A group that makes nothing itself begins with its segment wherever something of what is in it is written."""
    for inner in node.inner:
        begin(inner)
    begins = any(_begins_with(inner) for inner in node.inner) and bool(node.group.starts)
    if not node.made and not node.silent and not _first(node) and begins:
        node.segments[node.group.starts[0]] = [{}]


def _that_speaks(node: Node) -> Node:
    """The group itself, or the first in it where it is silent."""
    return _that_speaks(node.inner[0]) if node.silent and not _first(node) and node.inner else node


def _begins_with(node: Node) -> str:
    return _first(_that_speaks(node))


def _first(node: Node) -> str:
    """The segment that a group begins with; empty for a group of which nothing is written."""
    return next((name for name in node.group.segments if name in node.segments), "")


def _numbered(name: str, fields: Fields, number: int, structure: Structure) -> dict[int, Value]:
    written: dict[int, Value] = {}
    if structure.begins_with_its_number(name):
        written[1] = str(number)
    for at, value in sorted(fields.items()):
        if isinstance(value, dict):
            last = max(value)
            written[at] = Raw("^".join(value.get(part, "") for part in range(1, last + 1)))
        else:
            written[at] = value if isinstance(value, Raw) else Raw(raw(value))
    return written
