"""Amounts and their units: a number with a unit beside it, and both in one field (CQ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.codecs.er7 import Component
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import system_names
from engine.mapping.puts.results import written_number
from engine.mapping.registry import Options, Put, puts


def written_amount(quantity: Any, names: Callable[[str], str]) -> tuple[str, Component]:
    """A number and its unit, with the code where the unit says whose it is; both empty where there is no number."""
    number = written_number(quantity.get("value"))
    if not number:
        return "", ""
    unit, code, system = quantity.get("unit", ""), quantity.get("code", ""), quantity.get("system", "")
    if code and system:
        return number, (code, "" if unit == code else unit, names(system))
    unit = unit or code
    return number, unit if unit == " ".join(unit.split()) else ("", unit)


def written_cq(quantity: Any, names: Callable[[str], str]) -> Field | None:
    """A CQ, whose unit stands in subcomponents."""
    number, unit = written_amount(quantity, names)
    return (number, unit) if number else None


@puts("given_amount", "amount_of")
def write_amount_of(options: Options) -> Put:
    names = system_names(options)

    def put(quantity: Any, back: Back) -> dict[int, Field] | None:
        number, unit = written_amount(quantity, names)
        return {0: number, 1: unit} if number else None

    return put
