"""AIG, AIL, AIP and the contact persons of SCH: who and what takes part in an appointment, and when."""

from __future__ import annotations

from typing import Any, Protocol

from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.appointments import DELETED, Slots
from engine.mapping.functions.codes import Concepts, concept, looked_up
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.people import People
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

CONTACT = "urn:hutong:appointment-contact"
"""HL7 has no codes for the contact persons of SCH-12 and SCH-16."""
ENTERER = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
ACCEPTED = "accepted"
_SUBJECT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.subject"
_FIELDS = 11


class Reads(Protocol):
    def read(self, raw: str, scope: Scope) -> Resource | None: ...


@function(0)
def accepted(options: Options) -> Apply:
    """That somebody takes part (participant.status accepted); a row after it says who."""
    return lambda scope: {"status": ACCEPTED}


@function(0)
def subject_extension(options: Options) -> Apply:
    """R5's subject of an appointment, an extension in R4; a row after it says who (valueReference)."""
    return lambda scope: {"url": _SUBJECT}


@function(parts={"actor": 1})
def appointment_contact(options: Options) -> Apply:
    """Someone to ask about the appointment (XCN); `as` says who: placer-contact, filler-contact, enterer."""
    people, part = People(options), options.argument or "placer-contact"
    system = ENTERER if part == "enterer" else CONTACT

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        person = people.read(raw, scope)
        if person is None:
            return None
        return {"type": [{"coding": [{"system": system, "code": part}]}], "actor": person, "status": ACCEPTED}

    return apply


@function(_FIELDS)
def booked_person(options: Options) -> Apply:
    """Who is booked (AIP-3): fields as for booked_equipment."""
    return _booked(options, People(options))


@function(_FIELDS)
def booked_place(options: Options) -> Apply:
    """Which place is booked (AIL-3): fields as for booked_equipment."""
    return _booked(options, Locations(options))


@function(_FIELDS)
def booked_equipment(options: Options) -> Apply:
    """What is booked (AIG-3): it, type, status, action, start, offset, its unit, duration, its unit, TQ1-7, SCH-11.

    AIG-4 that names a place or a person makes it one; anything else is a device.
    """
    return _booked(options, Equipment(options))


class Equipment:
    """Reads AIG-3 for one facility."""

    def __init__(self, options: Options) -> None:
        self._facility, self._concepts = options.facility, Concepts(options, numbers=True)
        self._kinds = options.tables["booked_kinds"]

    def read(self, raw: str, scope: Scope) -> Resource | None:
        found = self._concepts.read(raw, scope)
        if not found.codings and not found.text:
            return None
        return _mention(self._facility, "Device", found.codings[0]["code"] if found.codings else "", found.text, scope)

    def read_as(self, raw: str, kind: str, scope: Scope) -> Resource | None:
        for word in scope.components(kind)[:2]:
            row = self._kinds.find(word) if word else None
            if row is not None:
                found = self._concepts.read(raw, scope)
                code = found.codings[0]["code"] if found.codings else ""
                return _mention(self._facility, row["code"], code, found.text, scope) if code or found.text else None
        return self.read(raw, scope)


def _mention(facility: str, kind: str, number: str, name: str, scope: Scope) -> Resource:
    """The reference to a device, place or person of the facility that a code names, which is noted."""
    # A place is known by its point of care, as in a PL that names nothing else.
    key = ("1", number or name) if kind == "Location" else (number,) if number else ("name", name)
    identity = resource_id(kind, facility, *key)
    made: Resource = {"resourceType": kind, "id": identity}
    if number:
        made["identifier"] = [{"system": facility_system(facility, kind.lower()), "value": number}]
    if name and kind == "Device":
        made["deviceName"] = [{"name": name, "type": "user-friendly-name"}]
    elif name:
        made["name"] = [{"text": name}] if kind == "Practitioner" else name
    reference: Resource = {"reference": f"{kind}/{identity}"}
    if name:
        reference["display"] = name
    scope.mentioned.setdefault(reference["reference"], made)
    return reference


def _booked(options: Options, reads: Reads) -> Apply:
    kind_of = concept(Options(options.facility, options.tables))
    slots, statuses = Slots(options), options.tables["participation_status"]

    def apply(*said: Any) -> dict[str, Any] | None:
        actor, kind, status, action, start, offset, offset_unit, amount, unit, begins, quantity, scope = said
        if scope.first(action).upper() == DELETED:
            return None
        who = reads.read_as(actor, kind, scope) if isinstance(reads, Equipment) else reads.read(actor, scope)
        part = kind_of(kind, scope) if kind else None
        if who is None and part is None:
            return None
        found: dict[str, Any] = {"type": [part]} if part is not None else {}
        if who is not None:
            found["actor"] = who
        stated = scope.first(status)
        row = looked_up(statuses, stated, scope) if stated else None
        found["status"] = row["code"] if row is not None and row["code"] else ACCEPTED
        if period := slots.read(start, amount, unit, offset, offset_unit, begins, quantity, scope):
            found["period"] = period
        return found

    return apply
