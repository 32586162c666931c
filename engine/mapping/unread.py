"""Which fields does nobody read? No rule takes them, and the mapping does not leave them out on purpose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from engine.mapping.definition import Definition
from engine.mapping.frame import Fields

LIMIT_FIELDS = 256
"""Fields beyond this one are not looked for; no segment of any version has half as many."""

_EVERY = frozenset(range(1, LIMIT_FIELDS + 1))

_Pick = tuple[Callable[[Fields], Any] | None, Any]
"""Takes such fields out of a segment of some length, and what it takes where they are empty; None: there are none."""


class Unread:
    """The fields of a segment that nobody reads."""

    __slots__ = ("_numbers", "_picks")

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = frozenset(numbers)
        self._picks: dict[int, _Pick] = {}

    def any_in_one(self, row: Fields) -> bool:
        """Whether there is such a field that holds something in a segment."""
        pick, blank = self._picks.get(len(row)) or self._picked(len(row))
        return pick is not None and bool(pick(row) != blank)

    def any_in(self, rows: Sequence[Fields]) -> bool:
        """The same of several segments."""
        lengths = set(map(len, rows))
        for length in lengths:
            pick, blank = self._picks.get(length) or self._picked(length)
            if pick is not None:
                alike = rows if len(lengths) == 1 else [row for row in rows if len(row) == length]
                if list(map(pick, alike)).count(blank) < len(alike):
                    return True
        return False

    def filled(self, row: Fields) -> list[int]:
        """The numbers of such fields that hold something in a segment."""
        return [number for number in range(1, len(row)) if row[number] and number in self._numbers]

    def without(self, numbers: Collection[int]) -> Unread:
        return Unread(self._numbers.difference(numbers))

    def _picked(self, length: int) -> _Pick:
        wanted = [number for number in range(1, length) if number in self._numbers]
        blank = ("",) * len(wanted) if len(wanted) > 1 else ""  # of one field it makes no tuple
        made = itemgetter(*wanted) if wanted else None, blank
        if len(self._picks) < LIMIT_FIELDS:
            self._picks[length] = made
        return made


class UnreadRows:
    """The same for all segments of a message, one `Unread` for each.

    Nearly always there is nothing: so it is asked first of all segments that are alike together, by what runs in C.
    """

    __slots__ = ("_alike", "_alone", "_each")

    def __init__(self, each: Iterable[Unread]) -> None:
        self._each = tuple(each)
        alike: dict[Unread, list[int]] = {}
        for position, unread in enumerate(self._each):
            alike.setdefault(unread, []).append(position)
        self._alone = tuple((unread, at[0]) for unread, at in alike.items() if len(at) == 1)
        self._alike = tuple((unread, itemgetter(*at)) for unread, at in alike.items() if len(at) > 1)

    def filled(self, rows: Sequence[Fields]) -> list[str]:
        """Such fields that hold something, `PID-31`, each once, in the order of the message."""
        for unread, at in self._alone:
            if unread.any_in_one(rows[at]):
                return list(self._looked_for(rows))
        for unread, those in self._alike:
            if unread.any_in(those(rows)):
                return list(self._looked_for(rows))
        return []

    def _looked_for(self, rows: Sequence[Fields]) -> dict[str, None]:
        """What one OBX was found to hold is not looked for in the next."""
        found: dict[str, None] = {}
        narrowed: dict[Unread, Unread] = {}
        for unread, row in zip(self._each, rows, strict=False):
            sought = narrowed.get(unread, unread)
            if numbers := sought.filled(row):
                narrowed[unread] = sought.without(numbers)
                found |= dict.fromkeys(f"{row[0]}-{number}" for number in numbers)
        return found


class UnreadFields:
    """What nobody reads in the segments of one mapping's messages."""

    def __init__(self, definition: Definition) -> None:
        self.widths = _widths(definition)
        """How many fields of a segment, its name included, a rule may look at."""
        self._known = {key: Unread(_EVERY - read) for key, read in _read(definition).items()}

    def of(self, group: str, segment: str) -> Unread:
        """The group is empty for a segment that no group holds."""
        found = self._known.get((group, segment))
        if found is None:
            found = self._known[group, segment] = Unread(_EVERY)
        return found


def _widths(definition: Definition) -> dict[str, int]:
    widths: dict[str, int] = {}
    for resources in definition.resources:
        for rule in (resources.id, *resources.rules):
            for name in rule.fields:
                widths[name.segment] = max(widths.get(name.segment, 1), name.number + 1)
    return widths


def _read(definition: Definition) -> Mapping[tuple[str, str], set[int]]:
    read: dict[tuple[str, str], set[int]] = {}
    for group in definition.groups.values():
        for segment in group.segments:
            read[group.name, segment] = _left_out(definition, segment)
    for resources in definition.resources:
        for rule in (resources.id, *resources.rules):
            for name in rule.fields:
                read[holder(definition, resources.group, name.segment), name.segment].add(name.number)
    for left in definition.not_mapped:
        if "-" not in left:
            read["", left] = _left_out(definition, left)
    return read


def _left_out(definition: Definition, segment: str) -> set[int]:
    if segment in definition.not_mapped:
        return set(_EVERY)
    prefix = f"{segment}-"
    fields = (left.removeprefix(prefix) for left in definition.not_mapped if left.startswith(prefix))
    return {int(field) for field in fields if "." not in field}  # a component of a field that is read: `unread_parts`


def holder(definition: Definition, group: str, segment: str) -> str:
    """The nearest group, from this one outwards, that a segment belongs to; checked when the mapping was loaded."""
    inside: str | None = group
    while inside is not None:
        if segment in definition.groups[inside].segments:
            return inside
        inside = definition.groups[inside].inside
    raise LookupError(segment)
