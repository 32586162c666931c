"""How much working time lies between two moments? Silence at night is no silence where nobody works at night."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.clock import CHINA
from engine.config.alerts import Weekday, WorkingHours

_DAYS = tuple(Weekday)
LONGEST_DAYS = 400
"""Further back is not looked at: a channel that was silent for a year is silent."""


def working_secs(since: datetime, until: datetime, hours: WorkingHours | None) -> float:
    """Seconds of working time; without hours all time is. Never negative."""
    since = max(since, until - timedelta(days=LONGEST_DAYS))
    if hours is None:
        return max(0.0, (until - since).total_seconds())
    start, end = since.astimezone(CHINA), until.astimezone(CHINA)
    total = 0.0
    day = start.date()
    while day <= end.date():
        if _DAYS[day.weekday()] in hours.days:
            opens = max(start, datetime.combine(day, hours.start, CHINA))
            closes = min(end, datetime.combine(day, hours.end, CHINA))
            total += max(0.0, (closes - opens).total_seconds())
        day += timedelta(days=1)
    return total
