"""RXA: a vaccination. Whether it was given, how much, and by whom."""

from __future__ import annotations

from typing import Any

from engine.identifiers import resource_id
from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.ids import code_key
from engine.mapping.functions.people import People
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_ROLE = "http://terminology.hl7.org/CodeSystem/v2-0443"


@makes_id(4)
def immunization_id(options: Options) -> MakeId:
    """From the facility, the filler's or placer's number and the vaccine, else from the patient, vaccine and time."""
    facility = options.facility

    def make(filler: str, placer: str, vaccine: str, at: str, within: str, scope: Scope) -> str | None:
        code = code_key(vaccine, scope)
        given = scope.first(filler) or scope.first(placer)
        if given:
            return resource_id("Immunization", facility, given, code)
        when = scope.first(at)
        return resource_id("Immunization", facility, within, code, when) if code and when and within else None

    return make


@function(2, table=True)
def vaccination_status(options: Options) -> Apply:
    """Whether it was given, from RXA-20 and RXA-21: a deletion is an error, and what nobody says was completed."""
    table = options.needed_table

    def apply(completion: str, action: str, scope: Scope) -> str:
        if scope.first(action).upper() == "D":
            return "entered-in-error"
        stated = scope.first(completion)
        row = looked_up(table, stated, scope) if stated else None
        return row["code"] if row is not None and row["code"] else "completed"

    return apply


@function(parts={"actor": 1})
def vaccinator(options: Options) -> Apply:
    """Someone who took part in a vaccination, in the part that `as` says: AP gave it, OP ordered it."""
    people, part = People(options), options.argument or "AP"

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        person = people.read(raw, scope)
        if person is None:
            return None
        return {"function": {"coding": [{"system": _ROLE, "code": part}]}, "actor": person}

    return apply
