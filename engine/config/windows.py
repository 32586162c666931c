"""When on a day? Windows of a clock in China such as `22:00-06:00`, across midnight too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, PlainValidator

_WRITTEN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class DayWindow:
    """From `first` until just before `last`; where `last` comes before `first`, across midnight."""

    first: time
    last: time

    def holds(self, moment: time) -> bool:
        if self.first < self.last:
            return self.first <= moment < self.last
        return moment >= self.first or moment < self.last

    def opens_after(self, moment: datetime) -> datetime:
        """When it opens next, on the clock that the moment is of."""
        today = moment.replace(hour=self.first.hour, minute=self.first.minute, second=0, microsecond=0)
        return today if today > moment else today + timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.first:%H:%M}-{self.last:%H:%M}"


def is_open(windows: Iterable[DayWindow], moment: datetime) -> bool:
    """Whether a moment, on a clock in China, lies within one of the windows; no window at all is always open."""
    listed = tuple(windows)
    return not listed or any(window.holds(moment.time()) for window in listed)


def _window(value: object) -> DayWindow:
    if isinstance(value, DayWindow):
        return value
    match = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("expected a window of the day such as 22:00-06:00")
    from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
    return DayWindow(time(from_hour, from_minute), time(to_hour, to_minute))


def _lasts(window: DayWindow) -> DayWindow:
    if window.first == window.last:
        raise ValueError("expected two different times; leave the window out where it is the whole day")
    return window


Window = Annotated[DayWindow, PlainValidator(_window), AfterValidator(_lasts), PlainSerializer(str)]
