"""How is the value of a search parameter read? Numbers, days, moments, alternatives and escapes.

Every function raises ParseError `bad-parameter`, naming the parameter and never its value.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from engine.clock import CHINA
from engine.errors import ParseError

LARGEST_NUMBER = 2**31 - 1
_MOST_ALTERNATIVES = 200
_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?P<time>T\d{2}:\d{2}(?P<seconds>:\d{2}(\.(?P<fraction>\d{1,6}))?)?(Z|[+ -]\d{2}:\d{2})?)?",
    re.ASCII,
)


def bad(name: str, expected: str) -> ParseError:
    return ParseError(expected, location=name, code="bad-parameter")


def number(value: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,1000}", value):
        raise bad(name, "expected a whole number")
    return min(int(value), LARGEST_NUMBER)


def moment(text: str, name: str) -> tuple[datetime, timedelta]:
    """The first moment of a date or dateTime, and how long what it names lasts; without a zone it is China's."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise bad(name, "expected YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+08:00")
    if found["time"] is None:
        return datetime.combine(parsed_day(text, name), datetime.min.time(), CHINA), timedelta(days=1)
    try:
        # A plus sign arrives as a blank where the caller did not escape it.
        at = datetime.fromisoformat(text.replace(" ", "+"))
        at = (at if at.tzinfo else at.replace(tzinfo=CHINA)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad(name, "expected a moment that exists") from None
    return at, _width(found["seconds"], found["fraction"])


def _width(seconds: str | None, fraction: str | None) -> timedelta:
    if fraction:
        return timedelta(microseconds=10 ** (6 - len(fraction)))
    return timedelta(seconds=1) if seconds else timedelta(minutes=1)


def parsed_day(text: str, name: str) -> date:
    """A day of four-digit years that a time zone cannot push out of what a datetime holds."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise bad(name, "expected a day that exists") from None
    if not 1 < day.year < 9999:
        raise bad(name, "expected a year from 2 to 9998")
    return day


def alternatives(value: str, name: str) -> list[str]:
    """http://hl7.org/fhir/R4/search.html#escaping: a comma means or, unless it is escaped."""
    texts = [text for text in split_raw(value, ",") if text]
    if not texts:
        raise bad(name, "expected a value")
    if len(texts) > _MOST_ALTERNATIVES:
        raise bad(name, f"expected at most {_MOST_ALTERNATIVES} values")
    return texts


def split(text: str, separator: str) -> list[str]:
    return [unescaped(part) for part in split_raw(text, separator)]


def split_raw(text: str, separator: str) -> list[str]:
    """Parts between unescaped separators, their escapes kept."""
    return re.findall(rf"(?:^|{re.escape(separator)})((?:\\.|[^\\{re.escape(separator)}]|\\$)*)", text, re.DOTALL)


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
