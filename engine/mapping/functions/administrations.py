"""RXA of RAS: what was given to a patient."""

from __future__ import annotations

from typing import Any

from engine.identifiers import resource_id
from engine.mapping.functions.addresses import address
from engine.mapping.functions.amounts import Amounts
from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.ids import code_key
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_UNKNOWN_AMOUNT = "999"
"""RXA-6 where nobody knows the amount (HL7 v2.5.1 §4.14.7.6)."""
_TAKEN_BACK = "D"


@makes_id(6)
def administration_id(options: Options) -> MakeId:
    """From the facility, the number of the order, which giving it is (RXA-1, RXA-2), the medicine and the time."""
    facility = options.facility

    def make(
        filler: str, placer: str, give: str, counter: str, code: str, at: str, within: str, scope: Scope
    ) -> str | None:
        number = scope.first(filler) or scope.first(placer)
        when = scope.first(at)
        if not when or not code_key(code, scope) or not (number or within):
            return None
        which = (scope.first(give), scope.first(counter), code_key(code, scope), when)
        return resource_id("MedicationAdministration", facility, number or within, *which)

    return make


@function(3)
def administration_status(options: Options) -> Apply:
    """Whether it was given: a deletion (RXA-21) or a cancelled order (ORC-1) is an error, else RXA-20 says."""
    table, controls = options.tables["administration_status"], options.tables["dispense_status"]

    def apply(completion: str, action: str, control: str, scope: Scope) -> str:
        taken_back = controls.find(scope.first(control)) if control else None
        if scope.first(action).upper() == _TAKEN_BACK or (taken_back is not None and taken_back["code"] == "cancelled"):
            return "entered-in-error"
        stated = scope.first(completion)
        row = looked_up(table, stated, scope) if stated else None
        return row["code"] if row is not None and row["code"] else "completed"

    return apply


@function(2, elements=True)
def given_at(options: Options) -> Apply:
    """When it was given (RXA-3, RXA-4): a moment, or a period where there is another end."""

    def apply(begins: str, ends: str, scope: Scope) -> dict[str, Any] | None:
        began = read_moment(scope.first(begins), scope).date_time if begins else ""
        ended = read_moment(scope.first(ends), scope).date_time if ends else ""
        if began and ended and began != ended:
            return {"effectivePeriod": {"start": began, "end": ended}}
        return {"effectiveDateTime": began or ended} if began or ended else None

    return apply


@function(2)
def given_amount(options: Options) -> Apply:
    """How much was given, from the amount and its unit; 999 says that nobody knows."""
    amounts = Amounts(options)

    def apply(amount: str, unit: str, scope: Scope) -> dict[str, Any] | None:
        return amounts.read(amount, unit, scope) if scope.first(amount) != _UNKNOWN_AMOUNT else None

    return apply


@function(3)
def administered_at(options: Options) -> Apply:
    """Where it was given: a place (PL) with its address, else an LA2, which is a place with its address behind it."""
    locations, read_address = Locations(options), address(options)

    def apply(place: str, where: str, old: str, scope: Scope) -> dict[str, Any] | None:
        parts = old.split("^")
        named = locations.read(place or "^".join(parts[:8]), scope)
        home = read_address(where or "^".join(parts[8:]), scope) if where or any(parts[8:]) else None
        if named is None or "reference" not in named:
            return named
        if home is not None:
            known = scope.mentioned[named["reference"]]
            scope.mentioned[named["reference"]] = {**known, "address": home}
        return named

    return apply
