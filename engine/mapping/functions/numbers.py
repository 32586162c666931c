"""NM, SN and NR: numbers that keep their digits."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import Any

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_COMPARED = re.compile(r"(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+))", re.ASCII)
_SIGNED = r"([+-]?(?:\d+\.?\d*|\.\d+))"
_SIGNS = ("--|——|––|──", "[-~—–−‐‑‒―〜∼至到]")
"""What stands between two limits, doubled as keyboards for Chinese write a dash, or once."""
_BETWEEN = tuple(re.compile(rf"{_SIGNED}\s*(?:{sign})\s*{_SIGNED}", re.ASCII) for sign in _SIGNS)
_COMPARATORS = str.maketrans({"≤": "<=", "≥": ">=", "＜": "<", "＞": ">"})

LIMIT_DIGITS = 64
"""A longer one is no measurement, and no number that a database would take."""


def number(text: str) -> Decimal | None:
    """The number a text is, digit by digit; None when it is no HL7 NM."""
    return _number(text) if len(text) <= LIMIT_DIGITS else None


@lru_cache(maxsize=8192)
def _number(text: str) -> Decimal | None:
    # Digits and one point at most: most numbers are no more, and that is seen faster than a pattern is matched.
    plain = text.isascii() and text.replace(".", "", 1).isdecimal()
    return Decimal(text) if plain or _NUMBER.fullmatch(text) else None


def folded(text: str) -> str:
    """Full-width digits and signs made narrow."""
    return unicodedata.normalize("NFKC", text.translate(_COMPARATORS)).strip()


def compared(text: str) -> tuple[str, Decimal] | None:
    """`<5.0` as its comparator and its number."""
    match = _COMPARED.fullmatch(text)
    if match is None or len(text) > LIMIT_DIGITS:
        return None
    return match[1], Decimal(match[2])


def between(text: str) -> tuple[Decimal, Decimal] | None:
    """`3.5-5.3` as its two numbers, the lower one first; None for anything else, a titre or a date among it."""
    if len(text) > 2 * LIMIT_DIGITS:
        return None
    read = [(Decimal(found[1]), Decimal(found[2])) for each in _BETWEEN if (found := each.fullmatch(text)) is not None]
    possible = [(low, high) for low, high in read if low <= high]
    return possible[0] if len(possible) == 1 else None  # `-5--1` may end at -1 or at 1


def quantity(value: Decimal, unit: dict[str, Any], comparator: str = "") -> dict[str, Any]:
    """A Quantity; `unit` holds its unit, system and code."""
    if comparator:
        return {"value": value, "comparator": comparator, **unit}
    return {"value": value, **unit}
