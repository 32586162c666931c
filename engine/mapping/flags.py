"""Does a flag say what its own number and its own reference range say? What contradicts itself is told, and stays.

A flag that is wrong either way does harm: a critical value that nobody is called for, or an alarm about nothing. What
is right cannot be known here, so nothing is corrected. Where number, range or flag can be read in more than one way
nothing is said: a range in words, one for each sex, another unit, a number that rounding may have brought to a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from operator import itemgetter

from engine.codecs.er7 import NULL
from engine.codecs.er7_escape import unescape
from engine.codecs.er7_header import USUAL
from engine.finding import Finding
from engine.mapping.definition import Definition, FieldName, ResourceRules, Rule
from engine.mapping.frame import Fields, segments_at
from engine.mapping.functions.numbers import between, compared, folded, number
from engine.mapping.functions.powers import whole_unit
from engine.mapping.functions.units import normal
from engine.mapping.places import Places
from engine.mapping.unread import holder
from engine.terminology import Table, Tables

CODE = "flag-contradicts-range"
OTHER_LIMITS = "other-limits"
"""Word of a row (`as`) whose sender flags by other limits than those it prints: nothing is compared."""

LIMIT_REMEMBERED = 8192
"""Distinct results that are remembered; a feed of one laboratory has some thousand."""
LIMIT_TEXT = 128
"""A longer value or range is words."""
LIMIT_NAMED = 8
"""Further places that one finding names."""

_SYSTEMS = ("", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation")
_NUMBERS = frozenset({"NM", "ST", "TX", "FT", ""})
_BRACKETS = ("()", "[]", "{}")
_DIGEST_BYTES = 12


class Direction(StrEnum):
    HIGH = "high"
    LOW = "low"
    NORMAL = "normal"


_DIRECTIONS = {
    **dict.fromkeys(("H", "HU", "HH"), Direction.HIGH),
    **dict.fromkeys(("L", "LU", "LL"), Direction.LOW),
    "N": Direction.NORMAL,
}
"""Codes that speak of the range: `<` and `>` speak of the instrument, A and AA of words, U and D of earlier results."""


class Contradiction(StrEnum):
    """What is told, each once for a message."""

    OPPOSITE = "the flag and the number stand on opposite sides of the reference range"
    INSIDE = "the flag says too high or too low, and the number is inside the reference range"
    OUTSIDE = "the flag says normal, and the number is outside the reference range"


@dataclass(frozen=True, slots=True)
class _Span:
    """Between which numbers something lies; None: nobody says."""

    low: Decimal | None
    high: Decimal | None


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a flag says of a range, and the range."""

    direction: Direction
    reference: _Span


@dataclass(frozen=True, slots=True)
class _Result:
    """Where the flag, the range, the number, its type, its unit and its code stand in one kind of segment."""

    rule: str
    table: Table | None
    flag: FieldName
    fields: tuple[int, ...]
    code: int


class Flags:
    """Compares the flags of one mapping's messages, of one facility."""

    def __init__(self, definition: Definition, tables: Tables) -> None:
        self._judges: dict[tuple[str, str], _Judge] = {}
        for made in definition.resources:
            if (found := _result_of(made, tables)) is not None:
                segment = found.flag.segment
                self._judges[holder(definition, made.group, segment), segment] = _Judge(found)

    def of(self, names: Sequence[str], groups: Sequence[str]) -> FlaggedRows:
        """For messages of this shape: the segments, and the groups that took them (empty: none)."""
        at: dict[_Judge, list[int]] = {}
        for position, key in enumerate(zip(groups, names, strict=True)):
            if key in self._judges:
                at.setdefault(self._judges[key], []).append(position)
        return FlaggedRows(names, tuple(at.items()))


class FlaggedRows:
    """The same for the segments of one shape of message."""

    __slots__ = ("_at", "_names")

    def __init__(self, names: Sequence[str], at: Sequence[tuple[_Judge, Sequence[int]]]) -> None:
        self._names = names
        self._at = tuple((judge, segments_at(positions), positions) for judge, positions in at)

    def findings(self, rows: list[Fields]) -> list[Finding]:
        """One for each way in which results of the message contradict themselves; rows as long as rules look."""
        found: list[Finding] = []
        for judge, segments, positions in self._at:
            if not judge.all_fine(segments(rows)):
                found.extend(judge.findings(positions, rows, self._names))
        return found


class _Judge:
    """Compares the results that stand in segments of one kind; what was compared once is remembered."""

    __slots__ = ("_fine", "_flag", "_limits", "_pick", "_result", "_wrong")

    def __init__(self, result: _Result) -> None:
        self._result = result
        self._flag = result.flag.number
        self._pick = itemgetter(*result.fields)
        self._fine: set[tuple[str, ...]] = set()
        self._wrong: dict[tuple[str, ...], Contradiction] = {}
        self._limits: dict[tuple[str, str, str], _Limits | None] = {}

    def all_fine(self, segments: Sequence[Fields]) -> bool:
        """Whether every result was found to be fine before. Nearly always it was: that is found by what runs in C."""
        number = self._flag
        return self._fine.issuperset(map(self._pick, [fields for fields in segments if fields[number]]))

    def findings(self, positions: Sequence[int], rows: Sequence[Fields], names: Sequence[str]) -> Iterator[Finding]:
        met: dict[str, list[int]] = {}
        for at in positions:
            if rows[at][self._flag] and (found := self._found(self._pick(rows[at]))) is not None:
                met.setdefault(found, []).append(at)
        for text, those in met.items():
            yield self._finding(text, those, rows, names)

    def _found(self, fields: tuple[str, ...]) -> Contradiction | None:
        if fields in self._fine:
            return None
        found = self._wrong.get(fields) or self._judged(*fields)
        if len(self._fine) + len(self._wrong) >= LIMIT_REMEMBERED:
            self._fine.clear()
            self._wrong.clear()
        if found is None:
            self._fine.add(fields)
        else:
            self._wrong[fields] = found
        return found

    def _judged(self, flag: str, limits: str, value: str, kind: str, unit: str) -> Contradiction | None:
        if len(limits) > LIMIT_TEXT or len(value) > LIMIT_TEXT:
            return None
        said = self._said(flag, limits, unit)
        measured = _measured(value, kind) if said is not None else None
        if said is None or measured is None:
            return None
        return contradiction(said.direction, measured.low, measured.high, said.reference.low, said.reference.high)

    def _said(self, flag: str, limits: str, unit: str) -> _Limits | None:
        """What flag and range say: of each test there are a few, whatever the numbers are."""
        key = flag, limits, unit
        if key not in self._limits:
            direction = _direction(flag, self._result.table)
            reference = _reference(limits, unit) if direction is not None else None
            if len(self._limits) >= LIMIT_REMEMBERED:
                self._limits.clear()
            self._limits[key] = _Limits(direction, reference) if direction and reference else None
        return self._limits[key]

    def _finding(self, text: str, at: Sequence[int], rows: Sequence[Fields], names: Sequence[str]) -> Finding:
        places, result = Places(names), self._result
        first, *others = (places.of(result.flag, each) for each in at)
        named = ", ".join(others[:LIMIT_NAMED]) + (" …" if len(others) > LIMIT_NAMED else "")
        too = f"; so do {named}" if named else ""
        digest = blake2b(digest_size=_DIGEST_BYTES)
        for each in at:
            said = (rows[each][result.code] if result.code else "", *self._pick(rows[each]))
            digest.update("|".join(said).encode("utf-8", "replace"))
        return Finding(
            CODE,
            f"{text}{too}. Nothing is changed, the flag stays as it was sent: ask who sent it which of them is right",
            location=first,
            rule=result.rule,
            value=digest.hexdigest(),
        )


def contradiction(
    direction: Direction, least: Decimal | None, most: Decimal | None, low: Decimal | None, high: Decimal | None
) -> Contradiction | None:
    """How a flag contradicts a number, surely between `least` and `most`, in a range from `low` to `high`.

    None for a limit that nobody says, which a number never crosses.
    """
    above = least is not None and high is not None and least > high
    below = most is not None and low is not None and most < low
    if direction is Direction.NORMAL:
        return Contradiction.OUTSIDE if above or below else None
    if direction is Direction.HIGH:
        opposite, within = below, most is not None and (high is None or most <= high)
    else:
        opposite, within = above, least is not None and (low is None or least >= low)
    if opposite:
        return Contradiction.OPPOSITE
    return Contradiction.INSIDE if within else None


def _result_of(made: ResourceRules, tables: Tables) -> _Result | None:
    """Where flag, range and value of one segment stand; None where they do not, or are not to be compared."""
    if made.resource != "Observation":
        return None
    rules = {rule.to: rule for rule in made.rules if rule.sources and not rule.otherwise}
    flag, limits, value = (rules.get(to) for to in ("interpretation", "referenceRange", "value[x]"))
    if flag is None or limits is None or value is None or flag.argument == OTHER_LIMITS:
        return None
    if value.function != "observation_value":
        return None
    read = (flag.sources[0], limits.sources[0], *value.sources[:3])
    if any(name.component is not None or name.segment != flag.sources[0].segment for name in read):
        return None
    table = tables[flag.table] if flag.table else None
    return _Result(flag.id, table, flag.sources[0], tuple(name.number for name in read), _number_of_code(rules, flag))


def _number_of_code(rules: dict[str, Rule], flag: Rule) -> int:
    """The field that says what was measured; 0 where another segment does."""
    code = rules.get("code")
    name = code.sources[0] if code is not None else None
    return name.number if name is not None and name.segment == flag.sources[0].segment else 0


def _direction(raw: str, table: Table | None) -> Direction | None:
    """What the flags of a field say of the range, if all that say anything of it say the same."""
    said = {found for each in raw.split("~") if (found := _one_direction(each, table)) is not None}
    return said.pop() if len(said) == 1 else None


def _one_direction(raw: str, table: Table | None) -> Direction | None:
    code = unescape(raw.split("^", 1)[0], USUAL, "utf-8").strip()
    row = table.find(code) if table is not None and code else None
    if row is not None:
        return _DIRECTIONS.get(row["code"]) if row.get("system", "") in _SYSTEMS else None
    return _DIRECTIONS.get(code.upper()) if table is None else None


def _measured(raw: str, kind: str) -> _Span | None:
    """Between which numbers a value lies, as it was rounded; None for what is no single number."""
    if kind == "SN":
        comparator, low, *rest = [*map(folded, raw.split("^")), "", ""]
        text = folded(f"{comparator if comparator != '=' else ''}{low}") if not any(rest) else ""
    else:
        text = folded(raw) if kind in _NUMBERS else ""
    exact = number(text)
    if exact is not None:
        return _rounded(exact)
    against = compared(text)
    if against is None:
        return None
    return _Span(None, against[1]) if against[0].startswith("<") else _Span(against[1], None)


def _rounded(exact: Decimal) -> _Span:
    """6.1 may have been anything from 6.05 to 6.15."""
    exponent = exact.as_tuple().exponent
    half = Decimal(5).scaleb(int(exponent) - 1)
    return _Span(exact - half, exact + half)


def _reference(raw: str, unit: str) -> _Span | None:
    """The limits that a range says in the unit of its result; None for what can be read in no or several ways."""
    if raw == NULL:
        return None
    text = folded(unescape(raw, USUAL, "utf-8"))
    for written in (text, *_without_unit(text, unit)):
        bare = written[1:-1].strip() if written[:1] + written[-1:] in _BRACKETS else written
        if (both := between(bare)) is not None:
            return _Span(*both) if both[0] < both[1] else None  # `0-0` stands where there is no range
        if (against := compared(bare)) is not None:
            return _Span(None, against[1]) if against[0].startswith("<") else _Span(against[1], None)
    return None


def _without_unit(text: str, unit: str) -> Iterator[str]:
    """A range without the unit that stands behind it, where it is the one of the result (OBX-6)."""
    whole = normal(text)
    for part in whole_unit(unit.split("~", 1)[0]).split("^"):
        own = normal(unescape(part, USUAL, "utf-8"))
        if own and whole[-len(own) :].casefold() == own.casefold():
            yield whole[: -len(own)]
