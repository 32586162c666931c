"""What time is it? The one place that reads the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

Clock = Callable[[], datetime]
"""Something that says what time it is: always aware, always UTC."""

CHINA = timezone(timedelta(hours=8), "+08:00")
"""Assumed for input without a zone; China has had one zone and no summer time since 1991."""


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)
