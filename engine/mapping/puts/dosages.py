"""RXO, RXE, RXD and RXA: how much to take, how fast, and how much at most."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.mapping.functions.amounts import ONE_DAY
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import system_names
from engine.mapping.puts.results import written_number
from engine.mapping.puts.texts import text_or_none
from engine.mapping.puts.units import written_amount, written_cq
from engine.mapping.registry import Options, Put, puts

_DAYS = ("d", "天", "日")
_ONE_DAY = {(ONE_DAY["value"], unit) for unit in _DAYS} | {(Decimal(24), unit) for unit in ("h", "小时")}


@puts("dose_amount")
def write_dose_amount(options: Options) -> Put:
    """The least and the most with their unit: RXE-3 is required, so the quantity of TQ1-2 stands there too."""
    names = system_names(options)

    def put(dose: Any, back: Back) -> dict[int, Field] | None:
        if one := dose.get("doseQuantity"):
            number, unit = written_amount(one, names)
            return {0: number, 2: unit} if number else None
        limits = dose.get("doseRange", {})
        low, low_unit = written_amount(limits.get("low", {}), names)
        high, high_unit = written_amount(limits.get("high", {}), names)
        return {0: low, 1: high, 2: low_unit or high_unit} if low or high else None

    return put


@puts("daily_maximum")
def write_daily_maximum(options: Options) -> Put:
    names = system_names(options)

    def put(most: Any, back: Back) -> Field | None:
        within = most.get("denominator", {})
        if (within.get("value"), within.get("code") or within.get("unit")) not in _ONE_DAY:
            return None
        return written_cq(most.get("numerator", {}), names)

    return put


@puts("whole_number", "count")
def write_whole_number(options: Options) -> Put:
    return lambda value, back: str(value) if isinstance(value, int) and not isinstance(value, bool) else None


@puts("days")
def write_days(options: Options) -> Put:
    def put(duration: Any, back: Back) -> Field | None:
        if (duration.get("code") or duration.get("unit")) not in _DAYS:
            return None
        return written_number(duration.get("value")) or None

    return put


@puts("words")
def write_words(options: Options) -> Put:
    def put(text: Any, back: Back) -> Field | None:
        said = text_or_none(text)
        return [("", line) for line in said.split("\n") if line] if said else None

    return put


@puts("words_note")
def write_words_note(options: Options) -> Put:
    write = write_words(options)

    def put(note: Any, back: Back) -> Field | None:
        found: Field | None = write(note.get("text"), back)
        return found

    return put


@puts("rate_amount")
def write_rate_amount(options: Options) -> Put:
    """How fast; a Ratio to one minute or one hour is the same amount in a unit of both."""
    names = system_names(options)

    def put(dose: Any, back: Back) -> dict[int, Field] | None:
        rate, ratio = dose.get("rateQuantity", {}), dose.get("rateRatio", {})
        if not rate and ratio.get("denominator", {}).get("value") == Decimal(1):
            over, under = (_unit(ratio.get(side, {})) for side in ("numerator", "denominator"))
            if over and under:
                rate = {"value": ratio["numerator"].get("value"), "unit": f"{over}/{under}"}
        number, unit = written_amount(rate, names)
        return {0: number, 1: unit} if number else None

    return put


def _unit(quantity: Any) -> str:
    return str(quantity.get("unit") or quantity.get("code", ""))
