"""PV1: what kind of visit it is, and in what state."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.codes import coding_of, looked_up, single_blanks
from engine.mapping.functions.locations import FINISHED, PREADMIT, WITHDRAWN
from engine.mapping.functions.patients import typed
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope
from engine.mapping.visit_states import ASSUMED

_UPDATE = "A08"
UNKNOWN_CLASS = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK", "display": "unknown"}
"""FHIR asks for a class; this says that there is none."""


@function(3, table=True)
def visit_status(options: Options) -> Apply:
    """The state of the visit: finished once there is a discharge time, else what the trigger event (MSH-9) says.

    Where the event does not say (an update), a visit that is expected by its class (PV1-2) is planned. Of an event that
    decides nothing (`no` in the table) the state is only assumed: it opens no visit that has ended.
    """
    table = options.needed_table

    def apply(message_type: str, discharged: str, patient_class: str, scope: Scope) -> str:
        parts = scope.components(message_type)
        row = looked_up(table, parts[1] if len(parts) > 1 else "", scope)
        status = row["code"] if row is not None else "unknown"
        if scope.first(discharged) and status not in WITHDRAWN:
            return FINISHED
        decides = row is not None and row.get("decides") != "no" and status != "unknown"
        undecided = status == "unknown" or parts[1:2] == [_UPDATE]
        if undecided and scope.first(patient_class).upper() == PREADMIT:
            status = "planned"
        return status if decides else ASSUMED.get(status, status)

    return apply


@function(2, parts={"code": 1}, table=True, remember=True)
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
    """The number of the visit (Identifier, type VN); `as` names other numbers than the visit's own."""
    system = facility_system(options.facility, "visit", options.argument or "")
    own = not options.argument

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        if not parts[0]:
            return None
        kind = "VN" if own or len(parts) < 5 or not parts[4] else parts[4].upper()
        type_of = {**typed(kind), "text": "visit number"} if kind == "VN" else typed(kind)
        return {"type": type_of, "system": system, "value": parts[0]}

    return apply
