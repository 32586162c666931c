"""What moment does a text name? HL7 DT, TS and DTM, and the other forms that systems write; nothing is guessed.

A form that can be read in one way only is read, and said to be unusual. What could be read in two ways, or in none,
is left out and becomes a finding; the bytes stay in the envelope.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from engine.clock import CHINA

_DTM = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d+)?)?)?)?)?)?([+-]\d{4})?", re.ASCII)
"""HL7 v2.5.1 chapter 2A, DTM: YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]."""
_WRITTEN = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:(?:\s*T\s*|\s+|(?<=日))(\d{1,2})[:时点](\d\d)(?:[:分](\d\d)(\.\d+)?秒?|分)?)?\s*(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_DATE_AND_TIME_APART = re.compile(r"(\d{4})(\d\d)(\d\d)[ T](\d\d):?(\d\d)(?::?(\d\d)(\.\d+)?)?([+-]\d{4})?", re.ASCII)
_CHINA_OFFSET = str(CHINA)


FIRST_YEAR, LAST_YEAR = 1850, 2150
"""Nobody alive was born before, and nothing is planned for after: 260401 is no April of the year 2604."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as precise as it was written.

    date        `2024`, `2024-05`, `2024-05-06`
    date_time   the same, with the time and its zone where there is one
    has_time    whether there is one
    doubts      codes of findings with their text
    """

    date: str
    date_time: str
    has_time: bool
    doubts: tuple[tuple[str, str], ...] = ()


UNREADABLE = Moment("", "", False, (("time-unreadable", "no date or time that can be read in one way only"),))


@lru_cache(maxsize=16_384)
def moment(text: str) -> Moment:
    """The moment a text names; `UNREADABLE` where it names none."""
    match = _DTM.fullmatch(text)
    if match is not None:
        return _moment(match, ())
    folded = unicodedata.normalize("NFKC", text).strip()
    match = _DTM.fullmatch(folded) or _DATE_AND_TIME_APART.fullmatch(folded) or _WRITTEN.fullmatch(folded)
    if match is None:
        return UNREADABLE
    doubts: tuple[tuple[str, str], ...] = (("time-format", "understood, though it is not written as YYYYMMDDHHMMSS"),)
    if match[8] == "Z":
        doubts += (("time-zone-doubtful", "marked as UTC; many systems write Z and mean local time"),)
    return _moment(match, doubts)


def _moment(match: re.Match[str], doubts: tuple[tuple[str, str], ...]) -> Moment:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if not FIRST_YEAR <= int(year) <= LAST_YEAR:
        return UNREADABLE
    try:
        datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
        offset = _offset(zone)
    except ValueError:
        return UNREADABLE
    date = "-".join(part.rjust(2, "0") for part in (year, month, day) if part)
    if hour is None:
        return Moment(date, date, False, doubts)
    if minute is None:
        # FHIR has no moment with an hour and no minute.
        doubts += (("time-precision", "an hour without minutes is recorded as the full hour"),)
    time = f"{hour.rjust(2, '0')}:{minute or '00'}:{second or '00'}{fraction or ''}"
    return Moment(date, f"{date}T{time}{offset}", True, doubts)


def _offset(zone: str | None) -> str:
    """`+08:00` where no zone is given. Raises ValueError for one that is none."""
    if not zone:
        return _CHINA_OFFSET
    if zone == "Z":
        return "Z"
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:
        raise ValueError("no such zone")
    return f"{zone[0]}{zone[1:3]}:{zone[-2:]}"
