"""Does a segment look shifted? What its columns hold is compared with what the standard says they hold.

A sender that leaves a field out, or puts one in, has every field behind it in the place of another. One column says
little, unless its form speaks for itself as a 居民身份证 does: a run of columns that fit the standard worse where they
stand than some fields away is told, with what each of them holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from engine.mapping.draft.fitting import Evidence, fit
from engine.mapping.draft.profile import Column, Profile
from engine.mapping.lens.structures import Structure

_DISTANCES = (1, -1, 2, -2)
_A_RUN = 2
"""Fields that contradict their places; what says nothing of its own place goes with so many, though not with one."""
_ENOUGH = 2
"""A column that contradicts its own place and fits another one; or two that each contradict theirs."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The fields `first` to `last` of a segment hold what the standard has `by` fields further on."""

    segment: str
    first: int
    last: int
    by: int
    evidence: tuple[Evidence, ...]
    """What those among them hold that fit there and not where they stand."""
    to_the_end: bool
    """Whether nothing that the samples have behind them stands in its place: all of it is shifted as well."""
    resumed: int = 0
    """The first field behind them that stands in its place again, where one does."""
    silent: range = range(0)
    """Fields right before them that no sample fills: nobody knows whether the shift begins among them."""

    def place_of(self, number: int) -> int:
        """The field in which this sender writes what the standard has in a field.

        0 where it writes it nowhere, and where nobody can say in which of two fields: before the one that stands in
        its place again.
        """
        there = number - self.by
        if self._has(there):
            return there
        return 0 if self._has(number) or self.last < number < self.resumed else number

    def meaning_of(self, number: int) -> int:
        """The field of the standard whose content stands in a field of this sender."""
        return number + self.by if self._has(number) else number

    def _has(self, number: int) -> bool:
        return self.first <= number and (self.to_the_end or number <= self.last)


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
    here = {number: fit(columns[number], segment, number, structure) for number in numbers}
    there = {number: fit(columns[number], segment, number + by, structure) for number in numbers}
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
    first = _begun(segment, evidence[0], by, here, there, structure)
    last = _followed(segment, evidence[-1], by, here, there, structure)
    seen = tuple(Evidence.of(columns[number], number, structure.title(segment, number + by)) for number in evidence)
    silent = range(max((each for each in numbers if each < first), default=1) + 1, min(first, first + by))
    resumed = _resumed(segment, last, by, here, there, structure)
    if resumed == 0 or (resumed < 0 and len(evidence) >= _A_RUN):
        return gain, Shift(segment, first, last, by, seen, to_the_end=True, silent=silent)
    return gain, Shift(segment, first, last, by, seen, to_the_end=False, resumed=abs(resumed), silent=silent)


def _begun(
    segment: str, first: int, by: int, here: Mapping[int, int], there: Mapping[int, int], structure: Structure
) -> int:
    """Where the run begins: with the column of a field that every message must fill, when nobody fills it else."""
    for number in sorted(here):
        if number >= first or any(there[each] < here[each] for each in here if number <= each < first):
            continue
        due = structure.is_required(segment, number + by) and not structure.is_required(segment, number)
        if due and number + by not in here:
            return number
    return first


def _followed(
    segment: str, last: int, by: int, here: Mapping[int, int], there: Mapping[int, int], structure: Structure
) -> int:
    """Where the run ends: what stands behind it and would fit there as well goes with it, to the end of the segment.

    Next to the run, or in the second of two fields alike whose first is empty: the first of them is filled first.
    """
    reached = last
    for number in sorted(each for each in here if each > last):
        alike = structure.datatype(segment, number) == structure.datatype(segment, number + by)
        second = by < 0 and alike and number + by not in here
        if there[number] < here[number] or not (number == reached + 1 or second):
            return last
        reached = number
    return reached


def _resumed(
    segment: str, last: int, by: int, here: Mapping[int, int], there: Mapping[int, int], structure: Structure
) -> int:
    """The first field behind a run that shows itself in its place; 0 without any field behind it.

    Negative for the first one of several that show nothing. The second of two fields alike whose first is empty shows
    that it is no second one, as the first of them is filled first.
    """
    behind = sorted(each for each in here if each > last)
    for number in behind:
        alike = structure.datatype(segment, number) == structure.datatype(segment, number + by)
        if there[number] < here[number] or (by > 0 and alike and here[number] > 0 and number - by not in here):
            return number
    return -behind[0] if behind else 0


def _taken_twice(run: range, by: int, columns: Iterable[int], here: Mapping[int, int]) -> int:
    """Fields outside a run that hold something of their own in the place that the run would stand for."""
    taken = {number + by for number in run} - set(run)
    return sum(2 for number in columns if number in taken and here[number] >= 0)
