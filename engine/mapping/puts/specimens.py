"""SPM: the numbers of a specimen, when and how much was taken, what it is in."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written, system_names
from engine.mapping.puts.patients import type_code
from engine.mapping.puts.times import written_period, written_time
from engine.mapping.puts.units import written_cq
from engine.mapping.registry import Options, Put, puts


@puts("specimen_number")
def write_specimen_number(options: Options) -> Put:
    def put(identifiers: Any, back: Back) -> Field | None:
        numbers = {type_code(each): each.get("value", "") for each in reversed(identifiers)}
        parts = (numbers.get("PLAC", ""), numbers.get("FILL", ""))
        return parts if any(parts) else None

    return put


@puts("accession", "result_number")
def write_own_number(options: Options) -> Put:
    return lambda identifier, back: identifier.get("value") or None


@puts("collected")
def write_collected(options: Options) -> Put:
    def put(collection: Any, back: Back) -> Field | None:
        if "collectedPeriod" in collection:
            return written_period(collection["collectedPeriod"])
        return written_time(collection.get("collectedDateTime")) or None

    return put


@puts("amount")
def write_amount(options: Options) -> Put:
    names = system_names(options)
    return lambda quantity, back: written_cq(quantity, names)


@puts("container")
def write_container(options: Options) -> Put:
    written = Written(options, None)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        kind, additive = written.of(value.get("type", {})), written.of(value.get("additiveCodeableConcept", {}))
        return {0: kind or "", 1: additive or ""} if kind or additive else None

    return put
