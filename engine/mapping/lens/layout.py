"""In which order are the segments of a message written, and how are they counted?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from engine.codecs.er7 import Raw, Value
from engine.mapping.lens.back import raw
from engine.mapping.lens.structures import Structure
from engine.mapping.lens.tree import Fields, Node

_REQUIRED = (("RXA", 1, "0"), ("RXA", 2, "1"))
"""Counters that HL7 asks for and that nobody counts: as systems send them for one administration."""

Line = tuple[str, dict[int, Value]]


def laid_out(root: Node, structure: Structure) -> list[Line]:
    """The segments below MSH in their order, each with its number among its like where it has one."""
    counts: Counter[tuple[int, str]] = Counter()
    return list(_lines(root, structure, -1, counts))


def _lines(node: Node, structure: Structure, base: int, counts: Counter[tuple[int, str]]) -> Iterator[Line]:
    first = _first(node)
    base = _place(first, structure.order, base) if first else base
    items: list[tuple[int, int, str | Node]] = []
    for name in node.group.segments:
        if name in node.segments:
            items.append((base if name == first else _place(name, structure.order, base), len(items), name))
    for inner in node.inner:
        starts = _first(inner)
        if starts:
            items.append((_place(starts, structure.order, base), len(items), inner))
    for item in _readable([item for _, _, item in sorted(items, key=lambda each: each[:2])]):
        if isinstance(item, Node):
            yield from _lines(item, structure, base, counts)
            continue
        for fields in node.segments[item]:
            around = node.outer if item in node.group.starts and node.outer is not None else node
            counts[id(around), item] += 1
            yield item, _numbered(item, fields, counts[id(around), item], structure)


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


def _first(node: Node) -> str:
    """The segment that a group begins with; empty for a group of which nothing is written."""
    return next((name for name in node.group.segments if name in node.segments), "")


def _place(segment: str, order: tuple[str, ...], after: int) -> int:
    """Where a segment stands in the structure, after the beginning of its group; last where the structure lacks it."""
    try:
        return order.index(segment, after + 1)
    except ValueError:
        return len(order)


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
