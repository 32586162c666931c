"""MFE, STF, PRA and LOC: the people and the places of a facility, as its master files list them."""

from __future__ import annotations

from typing import Any

from engine.identifiers import HEALTH_CARD, ID_CARD, facility_system
from engine.mapping.functions.patients import ID_CARD_TYPE
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.locations import place_parts
from engine.mapping.puts.patients import type_code
from engine.mapping.puts.texts import text_or_none
from engine.mapping.puts.times import written_period
from engine.mapping.registry import Options, Put, puts

_CHANGED, _DEACTIVATED = "MUP", "MDC"
"""HL7 table 0180: an entry as it is now, and one that holds no more."""
_WORKS_HERE, _LEFT = "A", "I"
_KEY = "key"
_LICENSES = ("LN", "MD", "DN", "RN", "NP", "PA", "PLN", "BRN", "DEA", "ZYYS", "ZYHS")
"""Kinds of numbers that let somebody practise: HL7 table 0203, and 执业医师 and 执业护士 as systems write them."""


@puts("staff_active")
def write_staff_active(options: Options) -> Put:
    def put(active: Any, back: Back) -> dict[int, Field] | None:
        return {0: _CHANGED, 1: _WORKS_HERE} if active else {0: _DEACTIVATED, 1: _LEFT}

    return put


@puts("staff_number")
def write_staff_number(options: Options) -> Put:
    """With `as: key` the number by which messages name the person, which no identity card is."""
    key = options.argument == _KEY
    licenses = facility_system(options.facility, "license")

    def put(identifier: Any, back: Back) -> Field | None:
        value, system, kind = identifier.get("value", ""), identifier.get("system", ""), type_code(identifier)
        if not value or _is_license(system, kind, licenses):
            return None
        if system in (ID_CARD, HEALTH_CARD):
            return None if key else (value, "", "", "", ID_CARD_TYPE if system == ID_CARD else "JKK")
        if key:
            return value if not kind or kind == "EI" else None
        return (value, "", "", "", kind) if kind else value

    return put


def _is_license(system: str, kind: str, licenses: str) -> bool:
    return system == licenses or system.startswith(f"{licenses}:") or kind in _LICENSES


@puts("license_number")
def write_license_number(options: Options) -> Put:
    prefix = facility_system(options.facility, "license")

    def put(identifier: Any, back: Back) -> Field | None:
        system, kind = identifier.get("system", ""), type_code(identifier)
        if not identifier.get("value") or not _is_license(system, kind, prefix):
            return None
        authority = system.removeprefix(f"{prefix}:") if system.startswith(f"{prefix}:") else ""
        _, until = written_period(identifier.get("period"))
        return (identifier["value"], kind, "" if authority == kind else authority, until)

    return put


@puts("employed")
def write_employed(options: Options) -> Put:
    def put(period: Any, back: Back) -> dict[int, Field] | None:
        begins, ends = written_period(period)
        return {0: begins, 1: ends} if begins or ends else None

    return put


@puts("specialty")
def write_specialty(options: Options) -> Put:
    return lambda concept, back: None if concept.get("coding") else text_or_none(concept.get("text"))


@puts("email")
def write_email(options: Options) -> Put:
    return lambda contact, back: text_or_none(contact.get("value")) if contact.get("system") == "email" else None


@puts("place_status")
def write_place_status(options: Options) -> Put:
    return lambda status, back: _CHANGED if status == "active" else _DEACTIVATED


@puts("place_entry")
def write_place_entry(options: Options) -> Put:
    """The place itself, in the key of the entry and in that of LOC; what describes it stands in LOC-2."""

    def put(place: Any, back: Back) -> dict[int, Field] | None:
        parts = place_parts({"reference": f"Location/{place.get('id')}"}, back)
        return {0: parts[:8], 1: parts[:8]} if parts is not None else None

    return put


@puts("place_description")
def write_place_description(options: Options) -> Put:
    def put(place: Any, back: Back) -> Field | None:
        name, numbers = place.get("name"), [each.get("value") for each in place.get("identifier", ())]
        return text_or_none(place.get("description")) or (
            text_or_none(name) if numbers and name not in numbers else None
        )

    return put
