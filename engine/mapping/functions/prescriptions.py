"""ORC, RXO, RXE and RXD: which prescription this is, in what state, and what was dispensed on it."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.addresses import address, telecom
from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.ids import code_key
from engine.mapping.functions.patients import typed
from engine.mapping.functions.people import mention_organization
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_NOT_SUBSTITUTED = frozenset({"N", "0", "1", "7"})
"""HL7 table 0167: what was prescribed was dispensed."""


def _number(fields: tuple[str, ...], scope: Scope) -> str:
    return next((value for raw in fields if raw and (value := scope.first(raw))), "")


def _prescription(facility: str, number: str, code: str, encoded: bool, scope: Scope) -> str:
    parts = (number, code_key(code, scope), *(("encoded",) if encoded else ()))
    return resource_id("MedicationRequest", facility, *parts)


@makes_id(4)
def prescription_id(options: Options) -> MakeId:
    """From the facility, the number of the order (ORC-2, ORC-3, else RXE-15) and the medicine.

    `as: encoded` for what the pharmacy made of the order (RXE). One number may stand for several medicines. There is
    none without a medicine: an order in words alone (RXO-6) is what the pharmacy made of it.
    """
    facility, encoded = options.facility, options.argument == "encoded"

    def make(placer: str, filler: str, prescription: str, code: str, within: str, scope: Scope) -> str | None:
        number = _number((placer, filler, prescription), scope)
        if not number or not code_key(code, scope):
            if number and not encoded:
                scope.doubt("prescription-without-medicine", "an order that names no medicine; only RXE is recorded")
            return None
        found = _prescription(facility, number, code, encoded, scope)
        if found in scope.ids:
            text = "two prescriptions of one number and one medicine; what the second says beyond the first is added"
            scope.doubt("order-number-repeated", text)
        return found

    return make


@makes_id(6)
def dispense_id(options: Options) -> MakeId:
    """From the facility, the number of the order or prescription, which dispensing it is (RXD-1), medicine and time."""
    facility = options.facility

    def make(
        filler: str, placer: str, prescription: str, counter: str, code: str, at: str, within: str, scope: Scope
    ) -> str | None:
        number = _number((filler, placer, prescription), scope)
        if not number or not code_key(code, scope):
            return None
        return resource_id(
            "MedicationDispense", facility, number, scope.first(counter), code_key(code, scope), scope.first(at)
        )

    return make


@function(3)
def original_prescription(options: Options) -> Apply:
    """The order (RXO) that the pharmacy encoded, where the message has it: ORC-2, ORC-3, RXO-1."""
    facility = options.facility

    def apply(placer: str, filler: str, code: str, scope: Scope) -> dict[str, Any] | None:
        number = _number((placer, filler), scope)
        found = _prescription(facility, number, code, False, scope) if number else ""
        return {"reference": f"MedicationRequest/{found}"} if found in scope.ids else None

    return apply


@function(2)
def prescription_status(options: Options) -> Apply:
    """The state of the prescription from ORC-1 and ORC-5: cancelling wins, then ORC-5, then what ORC-1 means alone."""
    controls, statuses = options.tables["prescription_control"], options.tables["prescription_status"]

    def apply(control: str, status: str, scope: Scope) -> str:
        doing, stated = scope.first(control), scope.first(status)
        row = looked_up(controls, doing, scope) if doing else None
        if row is not None and row["decides"] == "yes":
            return row["code"]
        known = looked_up(statuses, stated, scope) if stated else None
        if known is not None and known["code"]:
            return known["code"]
        return row["code"] if row is not None and row["code"] else "active"

    return apply


@function()
def dispense_status(options: Options) -> Apply:
    """The state of a dispensing: what a control code (ORC-1) takes back is no dispensing; anything else was done."""
    controls = options.tables["dispense_status"]

    def apply(control: str, scope: Scope) -> str | None:
        row = controls.find(scope.first(control))
        return row["code"] if row is not None else None

    return apply


@function(parts={"value": 1})
def prescription_number(options: Options) -> Apply:
    """The number of a prescription (Identifier)."""
    system = facility_system(options.facility, "prescription")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"type": typed("PRN"), "system": system, "value": value} if value else None

    return apply


@function()
def prescription_named(options: Options) -> Apply:
    """A reference to a prescription by its number, where the message has nothing else of it."""
    numbered = prescription_number(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        number = numbered(raw, scope)
        return {"type": "MedicationRequest", "identifier": number} if number is not None else None

    return apply


@function()
def was_substituted(options: Options) -> Apply:
    """Whether another medicine was given than was prescribed (RXD-11, HL7 table 0167)."""
    table = options.tables["substituted"]

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        code = scope.first(raw)
        row = looked_up(table, code, scope) if code else None
        if row is None:
            return None
        coding = {"system": row["system"], "code": row["code"], "display": row["display"]}
        return {"wasSubstituted": code.upper() not in _NOT_SUBSTITUTED, "type": {"coding": [coding]}}

    return apply


@function(3)
def pharmacy(options: Options) -> Apply:
    """The pharmacy (CE) as an organisation, with its address and telephone."""
    place, phone = address(options), telecom(Options(options.facility, options.tables))

    def apply(name: str, where: str, phones: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(name), ""]
        number, words = parts[0], parts[1] or parts[0]
        stands = [found] if where and (found := place(where, scope)) else []
        reached = [found] if phones and (found := phone(phones, scope)) else []
        reference: dict[str, Any] | None = mention_organization(
            [words, "", number], options.facility, scope, address=stands, telecom=reached
        )
        return reference

    return apply


@function(3)
def dispensing_pharmacy(options: Options) -> Apply:
    """The pharmacy (CE), with its address and telephone, as a performer."""
    read = pharmacy(options)

    def apply(name: str, where: str, phones: str, scope: Scope) -> dict[str, Any] | None:
        actor = read(name, where, phones, scope)
        return {"actor": actor} if actor is not None else None

    return apply
