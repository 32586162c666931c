"""Identifiers of people as CX; whether and when a patient died."""

from __future__ import annotations

from typing import Any

from engine.identifiers import HEALTH_CARD, ID_CARD, facility_system
from engine.mapping.functions.patients import DEFAULT_TYPE, ID_CARD_TYPE
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.times import written_period, written_time
from engine.mapping.registry import Options, Put, puts

_ID_CARD_AUTHORITY = "CN"
_HEALTH_CARD_TYPE = "JKK"


def type_code(identifier: Any) -> str:
    """The first code of an identifier's type."""
    return next((str(each.get("code", "")) for each in identifier.get("type", {}).get("coding", ())), "")


def _cx(identifier: Any, kind: str, prefix: str, default: str, *, by_type: bool) -> Field | None:
    """`prefix` is the system of the facility's own numbers; `by_type`: a type without authority stands for it."""
    value, system = identifier.get("value", ""), identifier.get("system", "")
    if not value:
        return None
    if system == ID_CARD:
        authority, kind = _ID_CARD_AUTHORITY, ID_CARD_TYPE
    elif system == HEALTH_CARD:
        authority, kind = "", _HEALTH_CARD_TYPE
    elif system == prefix:
        authority, kind = "", "" if kind == default else kind
    elif system.startswith(f"{prefix}:"):
        authority = system.removeprefix(f"{prefix}:")
        if by_type and authority == kind:
            authority = ""
    else:
        authority = system
    start, end = written_period(identifier.get("period"))
    return (value, "", "", authority, kind, "", start, end)


@puts("patient_identifier")
def write_patient_identifier(options: Options) -> Put:
    prefix, default = facility_system(options.facility, "patient"), options.argument or DEFAULT_TYPE

    def put(identifier: Any, back: Back) -> Field | None:
        return _cx(identifier, type_code(identifier), prefix, default, by_type=True)

    return put


@puts("person_identifier")
def write_person_identifier(options: Options) -> Put:
    prefix, default = facility_system(options.facility, "person"), options.argument or ""

    def put(identifier: Any, back: Back) -> Field | None:
        return _cx(identifier, type_code(identifier), prefix, default, by_type=False)

    return put


@puts("national_number")
def write_national_number(options: Options) -> Put:
    own = facility_system(options.facility, "patient", "SS")

    def put(identifier: Any, back: Back) -> Field | None:
        known = identifier.get("system") in (ID_CARD, own)
        return identifier.get("value") or None if known else None

    return put


@puts("deceased")
def write_deceased(options: Options) -> Put:
    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        if at := written_time(resource.get("deceasedDateTime")):
            return {0: at, 1: "Y"}
        if isinstance(resource.get("deceasedBoolean"), bool):
            return {1: "Y" if resource["deceasedBoolean"] else "N"}
        return None

    return put


@puts("multiple_birth")
def write_multiple_birth(options: Options) -> Put:
    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        if isinstance(resource.get("multipleBirthInteger"), int):
            return {0: "Y", 1: str(resource["multipleBirthInteger"])}
        if isinstance(resource.get("multipleBirthBoolean"), bool):
            return {0: "Y" if resource["multipleBirthBoolean"] else "N"}
        return None

    return put
