"""How often is TID? The codes of HL7 table 0335 that nobody doubts, and the code of what is said in numbers."""

from __future__ import annotations

import re
from decimal import Decimal

Often = tuple[int, Decimal, str]
"""How many times in a period, the period, and its unit (UCUM)."""

_TIMES_A_DAY = re.compile(r"([1-9]\d?)ID", re.ASCII)
_EVERY = re.compile(r"Q([1-9]\d?)([SMHDWL])", re.ASCII)
_UNITS = {"S": "s", "M": "min", "H": "h", "D": "d", "W": "wk", "L": "mo"}
_LETTERS = {unit: letter for letter, unit in _UNITS.items()}
_DAILY = {"QD": 1, "BID": 2, "TID": 3, "QID": 4}
_BY_COUNT = {count: code for code, count in _DAILY.items()}
_OTHER_DAYS = (1, Decimal(2), "d")


def frequency_of_code(code: str) -> Often | None:
    """`TID` as three times in one day; None where the code does not say it, as with those of meals and bedtime."""
    code = code.upper()
    if code in _DAILY:
        return _DAILY[code], Decimal(1), "d"
    if code == "QOD":
        return _OTHER_DAYS
    if match := _TIMES_A_DAY.fullmatch(code):
        return int(match[1]), Decimal(1), "d"
    if match := _EVERY.fullmatch(code):
        return 1, Decimal(match[1]), _UNITS[match[2]]
    return None


def code_of_frequency(times: int, period: int | Decimal, unit: str) -> str:
    """Three times in one day as `TID`; empty where the table has no code for it."""
    if period == 1 and unit == "d":
        return _BY_COUNT.get(times) or (f"{times}ID" if 0 < times < 100 else "")
    if (times, period, unit) == _OTHER_DAYS:
        return "QOD"
    if times == 1 and unit in _LETTERS and period == int(period) and 0 < period < 100:
        return f"Q{int(period)}{_LETTERS[unit]}"
    return ""
