"""Which workitems does a search ask for? Keys of UPS-RS (PS3.18 §8.3.4) over what a workitem says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from fnmatch import fnmatchcase

from pydicom.datadict import dictionary_VR, keyword_for_tag

from engine.api.reading import workitem
from engine.clock import CHINA
from engine.errors import ParseError

_NO_MATCHING = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept"})
_MOMENT = r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.\d{1,6})?((?:\+|-(?=0|1[0-2]))(?:0\d|1[0-4])[0-5]\d)?"
"""DA, or DT of any precision. What stands behind a `-` is an offset from UTC where it can be one (PS3.5 §6.2)."""
_ONE = re.compile(_MOMENT)
_RANGE = re.compile(rf"(?P<first>{_MOMENT})?\s*-\s*(?P<last>{_MOMENT})?")
_ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_TAGS = {keyword_for_tag(tag).lower(): tag for path in workitem.ATTRIBUTES for tag in path}
_LASTING = {3: timedelta(days=1), 4: timedelta(hours=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}
"""By how many words of a moment are given."""

Span = tuple[datetime, datetime]
"""From a moment to another, both within."""


@dataclass(frozen=True, slots=True)
class Key:
    """One value that is asked for at a path of tags. `span` is there when it is a time, or a range of times."""

    path: Sequence[str]
    value: str
    span: Span | None = None

    def matches(self, said: workitem.DataSet) -> bool:
        """PS3.4 §C.2.2.2: single value, wildcard, list of UIDs or range; one of the values at the path is enough."""
        found = workitem.values_of(said, self.path)
        if self.span is not None:
            return any(_is_within(text, self.span) for text in found)
        if dictionary_VR(self.path[-1]) == "UI" and not _is_pattern(self.value):
            return not set(re.split(r"[,\\]", self.value)).isdisjoint(found)
        return any(fnmatchcase(text, re.sub(r"\[", "[[]", self.value)) for text in found)


def keys_of(parameters: Iterable[tuple[str, str]]) -> tuple[list[Key], bool]:
    """What is asked for, and whether some of it is nothing that a workitem tells: then more is found than was asked.

    `0040A370.00080050` and `ReferencedRequestSequence.AccessionNumber` name the same. Raises ParseError for a time that
    is none.
    """
    keys: list[Key] = []
    ignored = False
    for name, value in parameters:
        if name.lower() in _NO_MATCHING or not value:
            continue
        path = tuple(_TAGS.get(word.lower(), word.upper()) for word in name.split("."))
        if path in workitem.ATTRIBUTES:
            keys.append(_key(path, value))
        else:
            ignored = True
    return keys, ignored


def _key(path: Sequence[str], value: str) -> Key:
    is_time = dictionary_VR(path[-1]) in ("DA", "DT") and not _is_pattern(value)
    return Key(path, value, _span(value) if is_time else None)


def _is_pattern(value: str) -> bool:
    return not {"*", "?"}.isdisjoint(value)


def _is_within(text: str, span: Span) -> bool:
    try:
        return span[0] <= _moments(text)[0] <= span[1]
    except ParseError:  # what was sent as a date may be none
        return False


def _span(value: str) -> Span:
    if _ONE.fullmatch(value):
        return _moments(value)
    match = _RANGE.fullmatch(value.strip())
    if match is None or not (match["first"] or match["last"]):
        raise ParseError("a time of the query is none", code="query-malformed")
    first, last = match["first"], match["last"]
    return _moments(first)[0] if first else _ALWAYS[0], _moments(last)[1] if last else _ALWAYS[1]


def _moments(text: str) -> Span:
    """The first and the last moment of what may be a year, a day, or a second. Raises ParseError."""
    match = _ONE.fullmatch(text)
    if match is None:
        raise ParseError("a time of the query is none", code="query-malformed")
    given = [int(word) for word in match.groups()[:6] if word is not None]
    year, month, day, hour, minute, second = *given, *(1, 1, 1, 0, 0, 0)[len(given) :]
    try:
        first = datetime(year, month, day, hour, minute, second, tzinfo=_zone(match[7]) if match[7] else CHINA)
    except ValueError:
        raise ParseError("a time of the query is none", code="query-malformed") from None
    return first, _last(first, len(given))


def _last(first: datetime, precision: int) -> datetime:
    """The last moment of the year, month, day, hour, minute or second that begins then."""
    try:
        if precision == 1:
            after = first.replace(year=first.year + 1)
        elif precision == 2:
            after = (first + timedelta(days=31)).replace(day=1)
        else:
            after = first + _LASTING[precision]
    except (ValueError, OverflowError):  # 99991231 is said for an end that is open
        return _ALWAYS[1]
    return after - timedelta(microseconds=1)


def _zone(offset: str) -> timezone:
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))
