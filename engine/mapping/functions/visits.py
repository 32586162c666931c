"""PV1: what kind of visit it is, where, and in what state."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.codes import coding_of, looked_up, single_blanks
from engine.mapping.functions.patients import typed
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

UNKNOWN_CLASS = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK", "display": "unknown"}
"""FHIR asks for a class; this says that there is none."""


@function(2, table=True)
def visit_status(options: Options) -> Apply:
    """The state of the visit: finished once there is a discharge time, else what the trigger event (MSH-9) says."""
    table = options.needed_table

    def apply(message_type: str, discharged: str, scope: Scope) -> str:
        if scope.first(discharged):
            return "finished"
        parts = scope.components(message_type)
        row = looked_up(table, parts[1] if len(parts) > 1 else "", scope)
        return row["code"] if row is not None else "unknown"

    return apply


@function(2, parts={"code": 1}, table=True)
def visit_class(options: Options) -> Apply:
    """The class of the visit from a table; one nobody knows stays as it came, an empty one is unknown."""
    table = options.needed_table
    local_system = facility_system(options.facility, "code", "patient-class")

    def apply(raw: str, message_type: str, scope: Scope) -> dict[str, str]:
        local = scope.first(raw)
        if not local:
            scope.doubt("visit-class-missing", "nothing says whether the patient stays, comes or is an emergency")
            return UNKNOWN_CLASS
        row = looked_up(table, local, scope)
        if row is not None and row["code"]:
            return coding_of(row)
        return {"system": local_system, "code": single_blanks(local)}

    return apply


@function(parts={"value": 1, "system": 4})
def visit_number(options: Options) -> Apply:
    """The number of the visit (Identifier, type VN)."""
    system = facility_system(options.facility, "visit")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"type": typed("VN"), "system": system, "value": value} if value else None

    return apply


@function()
def place(options: Options) -> Apply:
    """Where the patient is (PL): ward, room and bed as the name of a location."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        parts += [""] * (9 - len(parts))
        words = [part for part in (parts[3], parts[6], parts[7], parts[0], parts[1], parts[2]) if part] or [parts[8]]
        display = " ".join(word for word in words if word)
        return {"location": {"display": display}} if display else None

    return apply
