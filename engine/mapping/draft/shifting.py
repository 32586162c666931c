"""Does a segment look shifted? What its columns hold is compared with what the standard says they hold.

A sender that leaves a field out, or puts one in, has every field behind it in the place of another. One column says
little: a run of columns that fit the standard worse where they stand than some fields away is told, never acted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from engine.mapping.draft.profile import CODE, IDENTIFIER, NUMBER, PERSON, TIME, WORDS, Column, Profile
from engine.mapping.lens.structures import Structure

_TIMES = frozenset({"TS", "DT", "DTM"})
_PEOPLE = frozenset({"XCN", "XPN", "PPN"})
_NUMBERS = frozenset({"NM", "SI"})
_CODES = frozenset({"ID", "IS"})
_FITS: Mapping[str, frozenset[str]] = {
    TIME: _TIMES | {"DR"},
    PERSON: _PEOPLE,
    IDENTIFIER: frozenset({"CX", "EI", "EIP"}),
    NUMBER: _NUMBERS | {"CQ"},
}
"""Datatypes that a kind of content speaks for."""
_AGAINST: Mapping[str, frozenset[str]] = {
    TIME: _PEOPLE | _CODES | {"XAD", "PL", "CE", "CWE", "CNE", "XON", "SI", "MOC", "MO", "CP"},
    PERSON: _TIMES | _NUMBERS,
    IDENTIFIER: _TIMES | _CODES | {"SI"},
    NUMBER: _TIMES,
    WORDS: _TIMES | _NUMBERS,
    CODE: _TIMES | {"NM"},
}
"""Datatypes that it speaks against. What is in neither says nothing."""
_DISTANCES = (1, -1, 2, -2)
_ENOUGH = 2
"""A column that contradicts its own place and fits another one; or two that each contradict theirs."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The fields `first` to `last` of a segment hold what the standard has `by` fields further on."""

    segment: str
    first: int
    last: int
    by: int
    evidence: tuple[int, ...]
    """The fields among them that fit there and not where they stand."""

    def place_of(self, number: int) -> int:
        """The field in which this sender writes what the standard has in a field; 0 where it writes it nowhere."""
        there = number - self.by
        if self.first <= there <= self.last:
            return there
        return 0 if self.first <= number <= self.last else number

    def meaning_of(self, number: int) -> int:
        """The field of the standard whose content stands in a field of this sender."""
        return number + self.by if self.first <= number <= self.last else number


def shifts(profile: Profile, structure: Structure) -> list[Shift]:
    """One for each segment that looks shifted; Z-segments are nobody's standard."""
    by_segment: dict[str, dict[int, Column]] = {}
    for (segment, number), column in profile.columns.items():
        if column.filled and segment != "MSH" and structure.datatype(segment, 1):
            by_segment.setdefault(segment, {})[number] = column
    found = (_best(segment, columns, structure) for segment, columns in by_segment.items())
    return [each for each in found if each is not None]


def agreed(found: Iterable[Sequence[Shift]]) -> dict[str, Shift]:
    """By segment, the longest of all that a sender's messages show; some of them fill only part of it."""
    longest: dict[str, Shift] = {}
    for shift in (shift for those in found for shift in those):
        known = longest.get(shift.segment)
        if known is None or shift.last - shift.first > known.last - known.first:
            longest[shift.segment] = shift
    return longest


def _best(segment: str, columns: Mapping[int, Column], structure: Structure) -> Shift | None:
    candidates = (_run(segment, columns, structure, by) for by in _DISTANCES)
    gain, shift = max(candidates, key=lambda each: each[0])
    return shift if shift is not None and gain >= _ENOUGH else None


def _run(segment: str, columns: Mapping[int, Column], structure: Structure, by: int) -> tuple[int, Shift | None]:
    """The run of columns that gains most when each is taken for the one `by` fields further on, and what it gains."""
    numbers = sorted(columns)
    here = {number: _fit(columns[number], segment, number, structure) for number in numbers}
    there = {number: _fit(columns[number], segment, number + by, structure) for number in numbers}
    sums = [0, *accumulate(there[number] - here[number] for number in numbers)]
    most: tuple[int, int, int] = 0, 0, 0
    for start in range(len(numbers)):
        for end in range(start, len(numbers)):
            run = range(numbers[start], numbers[end] + 1)
            gain = sums[end + 1] - sums[start] - _taken_twice(run, by, columns, here)
            if gain > most[0]:
                most = gain, start, end
    gain, start, end = most
    run_of = numbers[start : end + 1]
    evidence = tuple(number for number in run_of if there[number] > here[number])
    if not gain or sum(here[number] < 0 for number in evidence) < abs(by):
        return 0, None
    return gain, Shift(segment, evidence[0], evidence[-1], by, evidence)


def _taken_twice(run: range, by: int, columns: Iterable[int], here: Mapping[int, int]) -> int:
    """Fields outside a run that hold something of their own in the place that the run would stand for."""
    taken = {number + by for number in run} - set(run)
    return sum(2 for number in columns if number in taken and here[number] >= 0)


def _fit(column: Column, segment: str, number: int, structure: Structure) -> int:
    """1 where what the column holds speaks for a field, -1 where it speaks against it, 0 where it says nothing."""
    kind, datatype = column.kind, structure.datatype(segment, number)
    if not datatype or kind not in _AGAINST:
        return 0
    if kind == CODE and column.values and (codes := structure.codes(segment, number)):
        listed = sum(each in codes for each in column.values)
        if listed == len(column.values):
            return 1
        return -1 if not listed and datatype == "ID" else 0  # codes of an IS are the facility's own affair
    return int(datatype in _FITS.get(kind, ())) - int(datatype in _AGAINST[kind])
