"""Is this a 居民身份证 number? GB 11643-1999: 18 characters, the last a check character by ISO 7064 MOD 11-2."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from operator import mul

_EIGHTEEN = re.compile(r"\d{17}[\dX]", re.ASCII)
_FIFTEEN = re.compile(r"\d{15}", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_CENTURY_OF_FIFTEEN = "19"
"""Numbers of 15 digits were given out until 1999; their two-digit year means 19yy."""


@dataclass(frozen=True, slots=True)
class IdCard:
    """A number as it is compared: narrow, without blanks, X upper; a number of 15 digits is written with 18."""

    number: str
    valid: bool


def normal(text: str) -> str:
    """Full-width digits narrow, no blanks, X upper."""
    return "".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).split()).upper()


def id_card(text: str) -> IdCard | None:
    """The number a text is; None when it has not the form of one."""
    number = normal(text)
    if _EIGHTEEN.fullmatch(number):
        return IdCard(number, _check(number[:17]) == number[17] and _is_date(number[6:14]))
    if _FIFTEEN.fullmatch(number):
        longer = number[:6] + _CENTURY_OF_FIFTEEN + number[6:]
        return IdCard(longer + _check(longer), _is_date(longer[6:14]))
    return None


def _check(first: str) -> str:
    return _CHECKS[sum(map(mul, _WEIGHTS, map(int, first))) % 11]


def _is_date(text: str) -> bool:
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True
