"""May this version of a result or of an order replace the one on record? By its state first, then by its time.

Messages come late, twice and out of order: two systems send one report, a queue is emptied from the wrong end, a day is
processed again. What may not replace anything stays on its envelope.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from engine.clock import CHINA

Resource = Mapping[str, Any]


class Late(StrEnum):
    """Why a version comes too late; the code of its finding."""

    PRELIMINARY = "late-preliminary"
    """It is not settled yet, and the one on record is."""
    VERSION = "late-version"
    """It is an older version than the one on record."""


_UNSETTLED = {"registered": 0, "partial": 1, "preliminary": 1}
_SETTLED: Mapping[str, int | None] = {
    "final": 0,
    "amended": 1,
    "corrected": 1,
    "appended": 1,
    "entered-in-error": 2,
    # What could not be obtained may be obtained after all, and the other way round: only the times say which holds.
    "cancelled": None,
}
"""States of results (HL7 tables 0085 and 0123 after mapping), each with its step where no time decides."""

_ORDER_STEPS = {"draft": 0, "active": 1, "on-hold": 1, "completed": 2, "revoked": 2, "entered-in-error": 3}


def result_too_late(current: str, incoming: str, current_at: str = "", incoming_at: str = "") -> Late | None:
    """Whether a version of a report or of one result comes too late.

    current, incoming        states
    current_at, incoming_at  FHIR instants at which the report became so (OBR-22); empty where nobody says
    """
    if current not in _UNSETTLED and current not in _SETTLED:
        return None  # Nobody knows what is on record; whatever comes says more.
    if current in _SETTLED and incoming not in _SETTLED:
        return Late.PRELIMINARY
    if current in _UNSETTLED and incoming in _SETTLED:
        return None
    age = compared(incoming_at, current_at)
    if age:
        return Late.VERSION if age < 0 else None
    steps = _SETTLED if current in _SETTLED else _UNSETTLED
    before, after = steps.get(current), steps.get(incoming)
    return Late.VERSION if before is not None and after is not None and after < before else None


def order_too_late(current: str, incoming: str, current_at: str = "", incoming_at: str = "") -> Late | None:
    """Whether a version of an order comes too late: it is older (ORC-9), and brings the order no further.

    A cancellation always counts: the clocks of two systems differ, and an order that nobody wants must not stay.
    """
    if compared(incoming_at, current_at) >= 0:
        return None
    return Late.VERSION if _ORDER_STEPS.get(incoming, 0) <= _ORDER_STEPS.get(current, 0) else None


def compared(one: str, other: str) -> int:
    """-1 when a FHIR date or dateTime is before the other, 1 when after, 0 when nobody can say.

    A day lasts until its end: a time on that day is neither before nor after it. Without a zone it is China's.
    """
    ours, theirs = _span(one), _span(other)
    if ours is None or theirs is None:
        return 0
    if ours[1] <= theirs[0]:
        return -1
    return 1 if theirs[1] <= ours[0] else 0


def _span(text: str) -> tuple[datetime, datetime] | None:
    """From its first moment to the first after it; None for what is no whole date."""
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=CHINA)
            return moment, moment + timedelta(microseconds=1)
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), CHINA)
        return day, day + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
