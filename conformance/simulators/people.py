"""Who is examined? People that do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from hashlib import sha256

_AREA = "331100"
"""A prefecture: real cards name a county of one, so nobody holds a number that begins so."""
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"


@dataclass(frozen=True, slots=True)
class Person:
    """A person as one facility's system knows them.

    local_id  that facility's own number
    sex       M or F
    """

    name: str
    local_id: str
    id_card: str
    birth_on: date
    sex: str
    phone: str
    address: str


def id_card(birth_on: date, sex: str, seed: str) -> str:
    """A well-formed 居民身份证号 with a right check digit (GB 11643), the same for the same seed."""
    number = int.from_bytes(sha256(seed.encode()).digest()[:4]) % 500
    sequence = number * 2 + (1 if sex == "M" else 0)
    body = f"{_AREA}{birth_on:%Y%m%d}{sequence:03d}"
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, body, strict=True))
    return body + _CHECK_DIGITS[total % 11]
