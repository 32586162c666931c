"""Which components does nobody read of the fields that rules read? `PID-3.5`, counted like a field that nobody reads.

A rule that reads the code and the words of a field leaves its other components where they are: on the envelope. Which
ones a function reads stands in `components`; what each kind of segment leaves is gathered once for a mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import itemgetter

from engine.codecs.er7 import NULL
from engine.mapping.components import components_of
from engine.mapping.definition import Definition, FieldName, ResourceRules, Rule
from engine.mapping.frame import Fields
from engine.mapping.registry import FUNCTIONS
from engine.mapping.unread import holder

LIMIT_COMPONENTS = 64
"""Components beyond this one are not looked for; no data type of any version has half as many."""
LIMIT_REMEMBERED = 1024
"""Distinct texts of a kind of segment of which is remembered that nothing is left."""
LIMIT_TEXT = 1024
"""Longer ones are looked at each time."""


class Left:
    """What a rule looks for in one of its fields: components that neither it nor any other rule reads."""

    __slots__ = ("_field", "_read", "least", "number")

    def __init__(self, field: FieldName, read: frozenset[int]) -> None:
        self._field = str(field)
        self.number = field.number
        self._read = read
        self.least = _all_read_up_to(read)
        """A text with fewer `^` has no such component."""

    def names(self, raw: str) -> list[str]:
        """Those that hold something, `PID-3.5`."""
        if raw.count("^") < self.least or raw == NULL or _nothing_but(self._read).fullmatch(raw):
            return []
        return [f"{self._field}.{part}" for part in sorted(set(_filled(raw, self._read)))]


class LeftOfSegment:
    """The same of all fields of one kind of segment at which no rule looks. What left nothing once is remembered."""

    __slots__ = ("_clean", "_least", "_left", "_pick")

    def __init__(self, left: Sequence[Left]) -> None:
        """Of one field at least."""
        self._left = left
        self._least = min(each.least for each in left)
        numbers = [each.number for each in left]
        self._pick = itemgetter(*numbers, numbers[0])  # of one field alone it would make no tuple
        self._clean: set[tuple[str, ...]] = set()

    def names(self, segments: Sequence[Fields]) -> list[str]:
        """Such components of segments, which are as long as any rule looks."""
        for texts in set(map(self._pick, segments)).difference(self._clean):
            together = "".join(texts)
            if together.count("^") < self._least or not together:
                continue
            if any(each.names(raw) for each, raw in zip(self._left, texts, strict=False)):
                return list(self._looked_for(segments))
            if len(together) <= LIMIT_TEXT:
                if len(self._clean) >= LIMIT_REMEMBERED:
                    self._clean.clear()
                self._clean.add(texts)
        return []

    def _looked_for(self, segments: Sequence[Fields]) -> Iterator[str]:
        for each in self._left:
            for raw in dict.fromkeys(fields[each.number] for fields in segments):
                yield from each.names(raw)


class PartlyRead:
    """What the rules of one mapping leave of the fields that they read.

    Of each such field one rule looks, while it reads the text for the first time: so nothing is looked at twice. What
    is left then are fields of which rules take single components, make ids or remember nothing; the plan looks at them.
    """

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._read = _partly_read(definition)
        self._taken: set[tuple[str, str, int]] = set()
        self._rest: dict[tuple[str, str], LeftOfSegment | None] = {}

    def watched_by(self, resources: ResourceRules, rule: Rule) -> tuple[Left | None, ...]:
        """For each field of a rule what it is to look for, each field of a group once; None: nothing.

        A rule of several fields that remembers nothing would look again and again: it looks at none.
        """
        function = FUNCTIONS.get(rule.function or "")
        if function is None or not (function.remember or function.mentions or len(rule.sources) == 1):
            return ()
        return tuple(self._left(resources.group, name) for name in rule.sources)

    def rest(self, group: str, segment: str) -> LeftOfSegment | None:
        """The fields of a segment at which no rule looks, None for none; asked when every rule has been."""
        place = group, segment
        if place not in self._rest:
            read = self._read.get(place, {})
            names = [FieldName(segment, number) for number in sorted(read) if (*place, number) not in self._taken]
            self._rest[place] = LeftOfSegment([Left(name, read[name.number]) for name in names]) if names else None
        return self._rest[place]

    def _left(self, group: str, name: FieldName) -> Left | None:
        place = holder(self._definition, group, name.segment), name.segment
        read = self._read.get(place, {}).get(name.number)
        if read is None or name.component is not None or (*place, name.number) in self._taken:
            return None
        self._taken.add((*place, name.number))
        return Left(name, read)


def _partly_read(definition: Definition) -> dict[tuple[str, str], dict[int, frozenset[int]]]:
    """By group and segment the components that are read of each field; none of a field that somebody reads whole."""
    whole: dict[tuple[str, str], set[int]] = {}
    read: dict[tuple[str, str], dict[int, frozenset[int]]] = {}
    for resources in definition.resources:
        for rule in (resources.id, *resources.rules):
            for at, name in enumerate(rule.fields):
                place = holder(definition, resources.group, name.segment), name.segment
                parts = components_of(rule, at, makes_id=rule is resources.id)
                if parts is None:
                    whole.setdefault(place, set()).add(name.number)
                else:
                    of_segment = read.setdefault(place, {})
                    of_segment[name.number] = of_segment.get(name.number, frozenset()) | parts
    for left in definition.not_mapped:
        _leave_out(left, whole, read)
    return {
        place: {number: parts for number, parts in of_segment.items() if number not in whole.get(place, ())}
        for place, of_segment in read.items()
    }


def _leave_out(
    left: str, whole: dict[tuple[str, str], set[int]], read: dict[tuple[str, str], dict[int, frozenset[int]]]
) -> None:
    """What a mapping leaves out on purpose is counted nowhere: a segment, a field or a component of it."""
    segment, _, rest = left.partition("-")
    number, _, component = rest.partition(".")
    for place, of_segment in read.items():
        if place[1] != segment:
            continue
        if component and int(number) in of_segment:
            of_segment[int(number)] |= {int(component)}
        elif not component:
            whole.setdefault(place, set()).update([int(number)] if number else of_segment)


def _all_read_up_to(parts: frozenset[int]) -> int:
    """How many components a field may have of which all are read: 3 of {1, 2, 3, 5}."""
    most = 0
    while most + 1 in parts:
        most += 1
    return most


@lru_cache(maxsize=1024)
def _nothing_but(read: frozenset[int]) -> re.Pattern[str]:
    """A field, with all its repetitions, whose other components hold nothing: most are such."""
    parts = ["[^~^]*+" if number in read else "[& ]*+" for number in range(1, min(max(read), LIMIT_COMPONENTS) + 1)]
    behind = r"(?:\^[& ]*+)*+"
    for part in reversed(parts[1:]):
        behind = rf"(?:\^{part}{behind})?+"
    repetition = parts[0] + behind
    return re.compile(f"{repetition}(?:~{repetition})*+")


def _filled(raw: str, read: frozenset[int]) -> Iterator[int]:
    for repetition in raw.split("~"):
        for number, part in enumerate(repetition.split("^", LIMIT_COMPONENTS)[:LIMIT_COMPONENTS], start=1):
            if number not in read and part.strip("& "):
                yield number
