"""RXO, RXE, RXD and RXA: how much to take, how fast, and how much at most."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.amounts import ONE_DAY, Amounts
from engine.mapping.functions.texts import joined_lines
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_DOSE_TYPE = "http://terminology.hl7.org/CodeSystem/dose-rate-type"


@function(4, elements=True)
def dose_amount(options: Options) -> Apply:
    """How much at a time, from the least, the most and their unit; else from a CQ (TQ1-2). Both make a range."""
    amounts = Amounts(options)
    ordered = {"coding": [{"system": _DOSE_TYPE, "code": "ordered", "display": "Ordered"}]}

    def apply(least: str, most: str, unit: str, whole: str, scope: Scope) -> dict[str, Any] | None:
        low, high = amounts.read(least, unit, scope), amounts.read(most, unit, scope)
        if low is not None and high is not None:
            return {"type": ordered, "doseRange": {"low": low, "high": high}}
        if low is not None:
            return {"type": ordered, "doseQuantity": low}
        if high is not None:
            return {"type": ordered, "doseRange": {"high": high}}
        other = amounts.of_cq(whole, scope) if whole else None
        return {"doseQuantity": other} if other is not None else None

    return apply


@function(2)
def amount_of(options: Options) -> Apply:
    """A quantity from an amount and its unit."""
    return Amounts(options).read


@function(2, elements=True)
def rate_amount(options: Options) -> Apply:
    """How fast it is given, from an amount and its unit."""
    amounts = Amounts(options)

    def apply(amount: str, unit: str, scope: Scope) -> dict[str, Any] | None:
        rate = amounts.read(amount, unit, scope)
        return {"rateQuantity": rate} if rate is not None else None

    return apply


@function()
def daily_maximum(options: Options) -> Apply:
    """The most in a day (Ratio) from a CQ."""
    amounts = Amounts(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        most = amounts.of_cq(raw, scope)
        return {"numerator": most, "denominator": dict(ONE_DAY)} if most is not None else None

    return apply


@function()
def whole_number(options: Options) -> Apply:
    """A number without decimals, zero or more."""

    def apply(raw: str, scope: Scope) -> int | None:
        text = scope.first(raw)
        if text.isascii() and text.isdecimal() and len(text) < 10:
            return int(text)
        if text:
            scope.doubt("number-unreadable", "expected a whole number", 1)
        return None

    return apply


@function()
def count(options: Options) -> Apply:
    """A number without decimals, one or more."""
    whole = whole_number(options)

    def apply(raw: str, scope: Scope) -> int | None:
        found: int | None = whole(raw, scope)
        return found or None

    return apply


@function(repeats=True)
def words(options: Options) -> Apply:
    """The words of coded values (CE): each repetition is a line."""

    def apply(raw: str, scope: Scope) -> str | None:
        return _words(raw, scope) or None

    return apply


@function(repeats=True)
def words_note(options: Options) -> Apply:
    """The words of coded values (CE) as a comment (Annotation)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        said = _words(raw, scope)
        return {"text": said} if said else None

    return apply


def _words(raw: str, scope: Scope) -> str:
    lines = []
    for each in raw.split("~"):
        parts = each.split("^")
        lines.append(
            scope.plain(parts[1]) if len(parts) > 1 and scope.plain(parts[1]) else joined_lines(parts[0], scope)
        )
    return "\n".join(line for line in lines if line)
