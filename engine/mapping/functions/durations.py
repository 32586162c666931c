"""How long does something take? An amount and a unit of time, as systems write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

from engine.mapping.functions.numbers import folded, number
from engine.mapping.registry import Options
from engine.mapping.scope import Scope

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "wk": 604_800}
"""Units of the same length always; a month and a year are none."""
LONGEST = timedelta(days=3660)
"""Ten years; a longer one is a slip of the keyboard."""
_TQ_UNITS = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}
_TQ_DURATION = re.compile(r"([SMHDWL])(\d{1,6})", re.ASCII)
"""HL7 v2.5.1 §4.3.3: S seconds, M minutes, H hours, D days, W weeks, L months."""
_TQ_TURNED = re.compile(r"(\d{1,6})([HDW])", re.ASCII)
"""The same turned round, `7D`, as systems write it; not of minutes and months, which such writers mix up."""
_TQ_TIMES = re.compile(r"X0*([1-9]\d{0,5})", re.ASCII)
"""The same: so many times."""


class Durations:
    """Reads durations for one facility; the units stand in table `time_units`."""

    __slots__ = ("_units",)

    def __init__(self, options: Options) -> None:
        self._units = options.tables["time_units"]

    def unit(self, raw: str, scope: Scope) -> str:
        """The UCUM code of a unit of time (CE); empty where it is none."""
        for part in scope.components(raw)[:2]:
            row = self._units.find(part) if part else None
            if row is not None:
                return row["code"]
        return ""

    def read(self, amount: str, unit: str, scope: Scope) -> timedelta | None:
        """The time that an amount of a unit is; None, with a doubt, where that cannot be told."""
        if not scope.first(amount):
            return None
        exact, code = number(folded(scope.first(amount))), self.unit(unit, scope)
        found = _time_of(exact, code) if exact is not None and code in SECONDS else None
        if found is None:
            scope.doubt("duration-unreadable", "an amount and a unit that are no length of time")
        return found

    def of_quantity(self, raw: str, scope: Scope) -> tuple[Decimal, str] | None:
        """The amount and UCUM unit of a CQ such as `30^min&minute&ISO+`; None, with a doubt, where it is none."""
        parts = raw.split("^")
        if not scope.plain(parts[0]):
            return None
        exact = number(folded(scope.plain(parts[0])))
        said = parts[1].split("&") if len(parts) > 1 else []
        code = next((code for part in said[:2] if (code := self.unit(part, scope))), "")
        if exact is None or exact < 0 or not code:
            scope.doubt("duration-unreadable", "an amount and a unit that are no length of time")
            return None
        return exact, code


def tq_duration(text: str) -> timedelta | None:
    """`M30` as half an hour (TQ.3); None for anything else, and for months, whose length differs."""
    found = tq_amount(text)
    return _time_of(*found) if found is not None and found[1] in SECONDS else None


def tq_amount(text: str) -> tuple[Decimal, str] | None:
    """`D5` as five days (TQ.3), in the unit that it says; None for anything else."""
    if (match := _TQ_DURATION.fullmatch(text)) is not None:
        return Decimal(match[2]), _TQ_UNITS[match[1]]
    if (match := _TQ_TURNED.fullmatch(text)) is not None:
        return Decimal(match[1]), _TQ_UNITS[match[2]]
    return None


def tq_times(text: str) -> int | None:
    """`X7` as seven times (TQ.3); None for anything else."""
    match = _TQ_TIMES.fullmatch(text)
    return int(match[1]) if match is not None else None


def later(moment: str, by: timedelta) -> str:
    """A moment with its zone, some time later, written as before."""
    return (datetime.fromisoformat(moment) + by).isoformat()


def _time_of(amount: Decimal, code: str) -> timedelta | None:
    seconds = amount * SECONDS[code]
    if abs(seconds) > LONGEST.total_seconds() or seconds != seconds.to_integral_value():
        return None
    return timedelta(seconds=int(seconds))
