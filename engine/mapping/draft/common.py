"""Which rows do several mappings of one draft have in common? They stand once, in a file for just those mappings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.mapping.draft.describing import Described
from engine.mapping.draft.moving import Moved
from engine.mapping.draft.owners import waiting
from engine.mapping.draft.shifting import Shift
from engine.mapping.draft.survey import Survey


@dataclass(frozen=True, slots=True)
class Common:
    """The rows of just these mappings, and the fields that all of them leave unread, each with its resource."""

    mappings: tuple[str, ...]
    moved: tuple[Moved, ...]
    unread: tuple[tuple[str, Described], ...]
    shifts: tuple[Shift, ...]


def in_common(surveys: Iterable[Survey]) -> list[Common]:
    """One for each set of mappings that share a row, those that share most first."""
    taken = [each for each in surveys if each.definition is not None]
    having: dict[Moved | tuple[str, str], list[str]] = {}
    described: dict[tuple[str, str], Described] = {}
    for each in taken:
        for row in each.moved:
            having.setdefault(row, []).append(each.name)
        for resource, column in waiting(each):
            having.setdefault((resource, column.field), []).append(each.name)
            described.setdefault((resource, column.field), column)
    sets: dict[tuple[str, ...], list[Moved | tuple[str, str]]] = {}
    for key, names in having.items():
        if len(names) > 1:
            sets.setdefault(tuple(names), []).append(key)
    return [
        Common(
            names,
            tuple(key for key in keys if isinstance(key, Moved)),
            tuple((key[0], described[key]) for key in keys if not isinstance(key, Moved)),
            _shifts(taken, [key for key in keys if isinstance(key, Moved)]),
        )
        for names, keys in sorted(sets.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _shifts(surveys: Iterable[Survey], rows: Iterable[Moved]) -> tuple[Shift, ...]:
    """Those that the rows are about."""
    read = {segment for row in rows for segment in row.segments}
    return tuple({shift: None for each in surveys for shift in each.shifts if shift.segment in read})
