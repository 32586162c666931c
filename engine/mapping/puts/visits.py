"""PV1: the class of a visit and its numbers."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.patients import type_code
from engine.mapping.registry import Options, Put, puts

_VISIT_NUMBER = "VN"


@puts("visit_class", inverts=True)
def write_visit_class(options: Options) -> Put:
    table, local_system = options.needed_table, facility_system(options.facility, "code", "patient-class")

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        code, system = value.get("code", ""), value.get("system", "")
        local = code if system == local_system else table.back(code, system)
        return {0: local} if local else None

    return put


@puts("visit_number")
def write_visit_number(options: Options) -> Put:
    system = facility_system(options.facility, "visit", options.argument or "")
    others = facility_system(options.facility, "visit")

    def put(identifier: Any, back: Back) -> Field | None:
        stated = identifier.get("system", "")
        if stated != system and stated.startswith(others):
            return None
        kind = type_code(identifier)
        plain = not options.argument or kind == _VISIT_NUMBER
        return (identifier["value"], "", "", "", "" if plain else kind) if identifier.get("value") else None

    return put
