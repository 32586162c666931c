"""ORC, RXE and RXD: in what state a prescription or a dispensing is, and by what number a prescription is known."""

from __future__ import annotations

from typing import Any

from engine.errors import MappingError
from engine.identifiers import facility_system
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.addresses import write_address, write_telecom
from engine.mapping.puts.medications import organization_code
from engine.mapping.puts.patients import type_code
from engine.mapping.registry import Options, Put, puts

_PRESCRIPTION = "RDE"
_REFILL = "RDE^O25"
_CONTROLS = {"active": "NW", "cancelled": "CA", "stopped": "DC", "on-hold": "HD", "entered-in-error": "DE"}
"""ORC-1 of a prescription in a state; one that is done has no control code of its own."""
_STATES = {"completed": "CM", "cancelled": "CA", "stopped": "DC", "on-hold": "HD", "entered-in-error": "ER"}
"""ORC-5 of the same."""
_STATUS_CHANGED, _REFILL_ASKED, _FOLLOWS = "SC", "RF", "RE"
_DISPENSED = {
    "completed": _FOLLOWS,
    "cancelled": "CA",
    "stopped": "DC",
    "on-hold": "HD",
    "entered-in-error": "DE",
    "declined": "UA",
}
_NUMBER = "PRN"
_SUBSTITUTED = "http://terminology.hl7.org/CodeSystem/v2-0167"
_SUBSTITUTION_V3 = "http://terminology.hl7.org/CodeSystem/v3-substanceAdminSubstitution"
_SAME_LETTER = ("G", "N")
"""Codes of v3's table that mean the same in HL7 table 0167."""


def refused(message_type: str, kind: str, state: Any) -> MappingError:
    """That a message of this type says something else than is so: nobody sends a charge that is planned."""
    text = f"{message_type} cannot say that a {kind} is in this state"
    return MappingError(text, location="ORC-1", rule="status", code="not-writable")


@puts("prescription_status")
def write_prescription_status(options: Options) -> Put:
    def put(status: Any, back: Back) -> dict[int, Field] | None:
        stated = _STATES.get(status, "")
        if not back.message_type.startswith(_PRESCRIPTION):
            return {1: stated} if stated else None
        if status == "active" and back.message_type == _REFILL:
            return {0: _REFILL_ASKED}
        if status in _CONTROLS:
            return {0: _CONTROLS[status]}
        if not stated:
            raise refused(back.message_type, "MedicationRequest", status)
        return {0: _STATUS_CHANGED, 1: stated}

    return put


@puts("dispense_status")
def write_dispense_status(options: Options) -> Put:
    def put(status: Any, back: Back) -> Field | None:
        if status not in _DISPENSED:
            raise refused(back.message_type, "MedicationDispense", status)
        return _DISPENSED[status]

    return put


@puts("prescription_number")
def write_prescription_number(options: Options) -> Put:
    system = facility_system(options.facility, "prescription")

    def put(identifier: Any, back: Back) -> Field | None:
        known = type_code(identifier) == _NUMBER or identifier.get("system") == system
        return identifier.get("value") or None if known else None

    return put


@puts("prescription_named")
def write_prescription_named(options: Options) -> Put:
    """The number under which the pharmacy knows the prescription, also of one that is in the message."""
    number = write_prescription_number(options)

    def put(reference: Any, back: Back) -> Field | None:
        known = back.resource(reference).get("identifier", ())
        for identifier in known:
            found: Field | None = number(identifier, back)
            if found is not None:
                return found
        return reference.get("identifier", {}).get("value") or None

    return put


@puts("was_substituted")
def write_was_substituted(options: Options) -> Put:
    def put(substitution: Any, back: Back) -> Field | None:
        for coding in substitution.get("type", {}).get("coding", ()):
            code, system = coding.get("code", ""), coding.get("system", "")
            if system == _SUBSTITUTED or (system == _SUBSTITUTION_V3 and code in _SAME_LETTER):
                return code or None
        return "N" if substitution.get("wasSubstituted") is False else None

    return put


@puts("pharmacy")
def write_pharmacy(options: Options) -> Put:
    where, phone = write_address(options), write_telecom(options)

    def put(reference: Any, back: Back) -> dict[int, Field] | None:
        named = organization_code(reference, back)
        if named is None:
            return None
        found: dict[int, Field] = {0: named}
        known = back.resource(reference)
        for at, write, values in ((1, where, known.get("address", ())), (2, phone, known.get("telecom", ()))):
            if values and (written := write(values[0], back)):
                found[at] = written
        return found

    return put


@puts("dispensing_pharmacy")
def write_dispensing_pharmacy(options: Options) -> Put:
    write = write_pharmacy(options)

    def put(performer: Any, back: Back) -> dict[int, Field] | None:
        actor = performer.get("actor", {})
        kind = actor.get("type") or back.resource(actor).get("resourceType") or "Organization"
        found: dict[int, Field] | None = (
            write(actor, back) if kind == "Organization" and not _names_a_person(actor) else None
        )
        return found

    return put


def _names_a_person(reference: Any) -> bool:
    return str(reference.get("reference", "")).rpartition("/")[0].rpartition("/")[2].startswith("Practitioner")
