"""Which fields does nobody read? No rule takes them, and the mapping does not leave them out on purpose."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import itemgetter

from engine.mapping.definition import Definition
from engine.mapping.frame import Fields

LIMIT_FIELDS = 256
"""Fields beyond this one are not looked for; no segment of any version has half as many."""

_EVERY = frozenset(range(1, LIMIT_FIELDS + 1))


class Unread:
    """The fields of a segment that nobody reads.

    Rows that are filled up have at least `width` fields; beyond them is looked only where a row itself is longer.
    """

    __slots__ = ("_beyond", "_blank", "_inside", "_pick", "_width")

    def __init__(self, numbers: Iterable[int], width: int) -> None:
        wanted = sorted(numbers)
        self._width = width
        self._inside = [number for number in wanted if number < width]
        self._beyond = frozenset(number for number in wanted if number >= width)
        picked = self._inside * 2 if len(self._inside) == 1 else self._inside  # of two or more it makes a tuple
        self._pick = itemgetter(*picked) if picked else None
        self._blank = ("",) * len(picked)

    def any_in(self, rows: Sequence[Fields], long: Sequence[Fields]) -> bool:
        """Whether there may be such a field that holds something in any of these segments."""
        if self._pick is not None and list(map(self._pick, long)).count(self._blank) < len(long):
            return True
        return bool(self._beyond) and max(map(len, rows)) > self._width

    def filled(self, row: Fields, long: Fields) -> list[int]:
        """The numbers of such fields that hold something in a segment."""
        inside = [number for number in self._inside if long[number]]
        beyond = [number for number in range(self._width, len(row)) if number in self._beyond and row[number]]
        return inside + beyond

    def without(self, numbers: Collection[int]) -> Unread:
        left = (number for number in (*self._inside, *self._beyond) if number not in numbers)
        return Unread(left, self._width)


class UnreadRows:
    """The same for all segments of a message, one `Unread` for each.

    Nearly always there is nothing: so it is asked first of all segments that are alike together, by what runs in C.
    """

    __slots__ = ("_alike", "_each")

    def __init__(self, each: Iterable[Unread]) -> None:
        self._each = tuple(each)
        alike: dict[Unread, list[int]] = {}
        for position, unread in enumerate(self._each):
            alike.setdefault(unread, []).append(position)
        self._alike = tuple((unread, positions) for unread, positions in alike.items())

    def filled(self, rows: Sequence[Fields], long: Sequence[Fields]) -> list[str]:
        """Such fields that hold something, `PID-31`, each once, in the order of the message.

        `rows` as they are, `long` the same rows made at least as long as any rule looks.
        """
        for unread, positions in self._alike:
            if unread.any_in([rows[at] for at in positions], [long[at] for at in positions]):
                return list(self._looked_for(rows, long))
        return []

    def _looked_for(self, rows: Sequence[Fields], long: Sequence[Fields]) -> dict[str, None]:
        """What one OBX was found to hold is not looked for in the next."""
        found: dict[str, None] = {}
        narrowed: dict[Unread, Unread] = {}
        for unread, row, filled_up in zip(self._each, rows, long, strict=False):
            if numbers := narrowed.get(unread, unread).filled(row, filled_up):
                narrowed[unread] = narrowed.get(unread, unread).without(numbers)
                found |= dict.fromkeys(f"{row[0]}-{number}" for number in numbers)
        return found


class UnreadFields:
    """What nobody reads in the segments of one mapping's messages."""

    def __init__(self, definition: Definition) -> None:
        self.widths = _widths(definition)
        """How many fields of a segment, its name included, a rule may look at."""
        self._known = {
            key: Unread(_EVERY - read, self.widths.get(key[1], 1)) for key, read in _read(definition).items()
        }

    def of(self, group: str, segment: str) -> Unread:
        """The group is empty for a segment that no group holds."""
        found = self._known.get((group, segment))
        if found is None:
            found = self._known[group, segment] = Unread(_EVERY, self.widths.get(segment, 1))
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
                holder = _holder(definition, resources.group, name.segment)
                read[holder, name.segment].add(name.number)
    for left in definition.not_mapped:
        if "-" not in left:
            read["", left] = _left_out(definition, left)
    return read


def _left_out(definition: Definition, segment: str) -> set[int]:
    if segment in definition.not_mapped:
        return set(_EVERY)
    prefix = f"{segment}-"
    return {int(left.removeprefix(prefix)) for left in definition.not_mapped if left.startswith(prefix)}


def _holder(definition: Definition, group: str, segment: str) -> str:
    """The nearest group, from this one outwards, that a segment belongs to; checked when the mapping was loaded."""
    inside: str | None = group
    while inside is not None:
        if segment in definition.groups[inside].segments:
            return inside
        inside = definition.groups[inside].inside
    raise LookupError(segment)
