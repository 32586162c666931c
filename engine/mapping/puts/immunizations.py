"""RXA: whether a vaccine was given, and who gave and who ordered it."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.people import person_parts
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
