"""Which fields did an element come from? The function of a rule is asked again, each time without one of its fields.

What changes without a field came from it. This is how a function of seventeen fields tells of each element the one or
two that it was made of, though nothing of that is written down anywhere. Only asked when somebody wants to know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.codecs.er7 import NULL
from engine.errors import HutongError
from engine.mapping.definition import FieldName
from engine.mapping.frame import component_of, cut
from engine.mapping.scope import Scope
from engine.mapping.single_rule import CompiledRule

Leaves = dict[str, Any]
"""What stands where, below what a function gave."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of one segment, as the function is given it.

    position    of the segment in the message
    repetition  of the field, from 0
    """

    name: FieldName
    position: int
    repetition: int
    raw: str


Read = Callable[[int, FieldName], str]
"""The whole field of the segment at a position; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value; the cells by leaf, or the one cell that it all came from."""

    leaves: Leaves
    decided: Mapping[str, list[Cell]]
    only: Cell | None = None

    def cells(self, leaf: str) -> list[Cell]:
        return [self.only] if self.only is not None else self.decided.get(leaf, [])

    def apart(self) -> list[Entry]:
        """Of a list that was given at once, each of its entries."""
        numbers = dict.fromkeys(leaf[1 : leaf.index("]")] for leaf in self.leaves)
        return [Entry(_below(f"[{number}]", self.leaves), _below(f"[{number}]", self.decided)) for number in numbers]


def entries(compiled: CompiledRule, segments: Mapping[str, Sequence[int]], read: Read, scope: Scope) -> list[Entry]:
    """What the rule gave, each value with the cells that decide each of its leaves. `segments`: positions by name."""
    rule, function = compiled.rule, compiled.function
    assert function is not None
    assert compiled.apply is not None
    ask = _Ask(compiled.apply, scope)
    if function.gathers:
        return _gathered(compiled, segments, read, ask)
    if len(rule.sources) != 1:
        cells = [_first(name, segments, read, whole=function.repeats) for name in rule.sources]
        found = ask.of(cells)
        return [Entry(found, ask.decided(cells, found))] if found is not None else []
    for name in rule.fields:
        tried = [Entry(found, {}, cell) for cell in _each(compiled, name, segments, read) if (found := ask.of([cell]))]
        if tried:
            return tried if rule.many else tried[:1]
    return []


def _below(root: str, those: Mapping[str, Any]) -> dict[str, Any]:
    return {leaf.removeprefix(root): value for leaf, value in those.items() if leaf.startswith(root)}


class _Ask:
    """Asks a function without noting its doubts, or whom it mentions, in the message's own scope."""

    def __init__(self, apply: Callable[..., Any], scope: Scope) -> None:
        self._apply = apply
        self._scope = scope

    def of(self, cells: Sequence[Cell]) -> Leaves | None:
        return self.given(*(cell.raw for cell in cells))

    def given(self, *raws: Any) -> Leaves | None:
        scope = self._scope.for_trial()
        try:
            value = self._apply(*raws, scope)
        except HutongError:
            return {}
        return dict(leaves("", value)) if value is not None else None

    def decided(self, cells: Sequence[Cell], whole: Leaves) -> dict[str, list[Cell]]:
        found = _Decided(whole)
        for at, cell in enumerate(cells):
            if cell.raw:
                raws = [each.raw for each in cells]
                raws[at] = ""
                found.without(cell, (self.given(*raws) or {}) if any(raws) else {})
        for leaf, alike in found.said_alike():
            raws = ["" if cell in alike else cell.raw for cell in cells]
            left = (self.given(*raws) or {}) if any(raws) else {}
            if left.get(leaf) != whole[leaf]:
                found.decided_by(leaf, alike)
        return found.by_leaf()


class _Decided:
    """Gathers what changes without each cell.

    Of the cells that decide a leaf, those that hold its very text or number are told, in whatever width it is written;
    else those without which only some changes; else those without which there is nothing at all. Of a number that is
    worked out both are told: nothing can be counted without it, and what it is counted in. Of a number that several
    cells say, none of them is missed alone; what counts is what there is without them all.
    """

    def __init__(self, whole: Leaves) -> None:
        self._whole = whole
        self._filled: list[Cell] = []
        self._some: dict[str, list[Cell]] = {}
        self._all: list[Cell] = []
        self._alike: dict[str, list[Cell]] = {}

    def without(self, cell: Cell, left: Leaves) -> None:
        self._filled.append(cell)
        if not left:
            self._all.append(cell)
            return
        for leaf, value in self._whole.items():
            if leaf not in left or left[leaf] != value:
                self._some.setdefault(leaf, []).append(cell)

    def said_alike(self) -> Iterator[tuple[str, list[Cell]]]:
        """The numbers that several cells hold of which none decides alone, and these cells."""
        for leaf, value in self._whole.items():
            holding = [cell for cell in self._filled if _is_number(value) and _holds(cell.raw, value)]
            alone = (*self._all, *self._some.get(leaf, ()))
            if len(holding) > 1 and not any(cell in alone for cell in holding):
                yield leaf, holding

    def decided_by(self, leaf: str, cells: list[Cell]) -> None:
        self._alike[leaf] = cells

    def by_leaf(self) -> dict[str, list[Cell]]:
        return {leaf: self._of(leaf, value) for leaf, value in self._whole.items()}

    def _of(self, leaf: str, value: Any) -> list[Cell]:
        if leaf in self._alike:
            return self._alike[leaf]
        some = self._some.get(leaf, [])
        deciding = [*self._all, *some]
        holding = [cell for cell in deciding if _holds(cell.raw, value)]
        return holding or (deciding if _is_number(value) else some) or self._all or self._filled


def _holds(raw: str, value: Any) -> bool:
    """Whether a text says this very value, be it in full-width characters."""
    narrow = unicodedata.normalize("NFKC", raw)
    if _is_number(value):
        return any(Decimal(each) == value for each in _NUMBER.findall(narrow))
    return str(value) in raw or unicodedata.normalize("NFKC", str(value)) in narrow


def _is_number(value: Any) -> bool:
    return isinstance(value, Decimal | int) and not isinstance(value, bool)


def _gathered(compiled: CompiledRule, segments: Mapping[str, Sequence[int]], read: Read, ask: _Ask) -> list[Entry]:
    """A function that is given every segment of the group: without each cell in turn."""
    function = compiled.function
    assert function is not None
    columns = [
        [
            Cell(name, position, 0, cut(read(position, name), name.component, function.repeats))
            for position in segments[name.segment]
        ]
        for name in compiled.rule.sources
    ]
    whole = ask.given(*([cell.raw for cell in column] for column in columns))
    if whole is None:
        return []
    decided = _Decided(whole)
    for number, column in enumerate(columns):
        for at, cell in enumerate(column):
            if cell.raw:
                raws = [[each.raw for each in other] for other in columns]
                raws[number][at] = ""
                decided.without(cell, ask.given(*raws) or {})
    return [Entry(whole, decided.by_leaf())]


def _first(name: FieldName, segments: Mapping[str, Sequence[int]], read: Read, *, whole: bool) -> Cell:
    position = segments[name.segment][0]
    return Cell(name, position, 0, cut(read(position, name), name.component, whole))


def _each(compiled: CompiledRule, name: FieldName, segments: Mapping[str, Sequence[int]], read: Read) -> Iterator[Cell]:
    """What the rule reads of one field: its repetitions in every segment, or the first of the first."""
    assert compiled.function is not None
    whole = compiled.function.repeats
    if not compiled.rule.many:
        yield _first(name, segments, read, whole=whole)
        return
    for position in segments[name.segment]:
        raw = read(position, name)
        for repetition, each in enumerate((raw,) if whole else raw.split("~")):
            text = each if name.component is None else component_of(each, name.component)
            if text and text != NULL:
                yield Cell(name, position, repetition, text)


def leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value that is no structure, by its path: `.coding[0].code`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(f"{path}[{number}]", inner)
    else:
        yield path, value
