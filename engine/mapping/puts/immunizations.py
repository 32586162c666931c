"""RXA: whether a vaccine was given, how much of it, and who gave and who ordered it."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import system_names
from engine.mapping.puts.people import person_parts
from engine.mapping.puts.results import written_number, written_unit
from engine.mapping.registry import Options, Put, puts

_DELETED = "D"


@puts("vaccination_status", inverts=True)
def write_vaccination_status(options: Options) -> Put:
    table = options.needed_table

    def put(status: Any, back: Back) -> dict[int, Field] | None:
        if status == "entered-in-error":
            return {1: _DELETED}
        local = table.back(status)
        return {0: local} if local else None

    return put


@puts("vaccinator")
def write_vaccinator(options: Options) -> Put:
    part = options.argument or "AP"

    def put(value: Any, back: Back) -> Field | None:
        codes = [coding.get("code") for coding in value.get("function", {}).get("coding", ())]
        return person_parts(value.get("actor", {}), back) if part in codes else None

    return put


@puts("given_amount")
def write_given_amount(options: Options) -> Put:
    """An amount and its unit, with the code where the unit says whose it is."""
    names = system_names(options)

    def put(quantity: Any, back: Back) -> dict[int, Field] | None:
        number = written_number(quantity.get("value"))
        if not number:
            return None
        unit, code = quantity.get("unit", ""), quantity.get("code", "")
        if code and quantity.get("system"):
            return {0: number, 1: (code, "" if unit == code else unit, names(quantity["system"]))}
        return {0: number, 1: written_unit(quantity)}

    return put
