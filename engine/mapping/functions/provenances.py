"""EVN, ORC and PID: who did what to a record, when and where (Provenance)."""

from __future__ import annotations

from typing import Any

from engine.clock import CHINA
from engine.identifiers import facility_system, organization_id, resource_id
from engine.mapping.functions.addresses import address, telecom
from engine.mapping.functions.codes import Concepts, coding_of, concept
from engine.mapping.functions.names import called, is_time
from engine.mapping.functions.ordering import repetitions
from engine.mapping.functions.people import mention_organization, mention_practitioner, note
from engine.mapping.functions.times import read_moment
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_UNKNOWN_REASON = "U"
_NAMING = 4
"""So many components of a field name somebody (XCN: number and names) or something; those after them only add to it."""


@makes_id(None)
def provenance_id(options: Options) -> MakeId:
    """From what it is about and all its fields; none where all but the last two (when, what) say nothing."""
    facility = options.facility

    def make(*fields: Any) -> str | None:
        *raws, within, scope = fields
        said = [scope.plain(raw) for raw in raws]
        if not within or not any(any(scope.components(raw)[:_NAMING]) for raw in raws[:-2]):
            return None
        return resource_id("Provenance", facility, within, *said)

    return make


@makes_id(None)
def order_provenance_id(options: Options) -> MakeId:
    """From what it is about and all its fields; none where the first three name nobody and the fourth no device."""
    made, concepts = provenance_id(options), Concepts(options)

    def make(*fields: Any) -> str | None:
        *persons, device = fields[:4]
        scope = fields[-1]
        identity = made(*fields)
        if identity is None or any(raw and _is_somebody(raw, scope) for raw in persons):
            return identity
        found = concepts.read(device, scope)
        if found.codings or found.text:
            return identity
        scope.doubt("no-person", "what should say who did it names nobody and no device; it is not recorded")
        return None

    return make


def _is_somebody(raw: str, scope: Scope) -> bool:
    """Whether an XCN names a person; what is doubtful of it, the rule that records it tells."""
    parts = scope.components(raw.split("~", 1)[0])
    doubts = len(scope.doubts)
    name = called(parts[1:7], scope, first=2)
    del scope.doubts[doubts:]
    return bool(name) or bool(parts[0] and not is_time(parts[0]))


@function(3)
def recorded(options: Options) -> Apply:
    """When it was recorded, to the second: the first of two fields that says so, else when the message came.

    FHIR always asks for it, so MSH-9, which no sender deletes, stands before them.
    """

    def apply(message_type: str, first: str, second: str, scope: Scope) -> str:
        for raw in (first, second):
            found = read_moment(scope.first(raw), scope) if raw else None
            if found is not None and found.has_time:
                return found.date_time
        return _received(scope)

    return apply


@function(0)
def received(options: Options) -> Apply:
    """When the message came, to the second."""
    return _received


def _received(scope: Scope) -> str:
    return scope.context.received_at.astimezone(CHINA).replace(microsecond=0).isoformat()


@function(0)
def updated(options: Options) -> Apply:
    """What was done: an update."""
    return lambda scope: {"coding": [{"system": _OPERATION, "code": "UPDATE"}]}


@function(table=True)
def order_activity(options: Options) -> Apply:
    """What was done to the order, from a table of ORC-1: create, update or cancel."""
    table = options.needed_table

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        row = table.find(scope.first(raw)) or table.fallback
        return {"coding": [coding_of(row)]} if row is not None else None

    return apply


@function()
def event_activity(options: Options) -> Apply:
    """What happened, as the event of the message (MSH-9) says it."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        return {"coding": [{"display": f"event - {'^'.join(parts[:2])}"}]} if parts[0] else None

    return apply


@function()
def event_reason(options: Options) -> Apply:
    """Why it happened (EVN-4); U says that nobody knows."""
    read = concept(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        if scope.first(raw).upper() != _UNKNOWN_REASON:
            found: dict[str, Any] | None = read(raw, scope)
            return found
        return {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}

    return apply


@function(3, parts={"who": 2})
def agent(options: Options) -> Apply:
    """Someone who did something (Provenance.agent), in the part that `as` says: person, on whose behalf, address."""
    facility, part = options.facility, options.argument or "performer"
    kind = {"coding": [{"system": _AGENT, "code": part}]}
    where, organisations = address(options), Concepts(options, numbers=True)

    def apply(raw: str, employer: str, home: str, scope: Scope) -> dict[str, Any] | None:
        lives = repetitions(where, home, scope)
        person = mention_practitioner(scope.components(raw.split("~", 1)[0]), facility, scope, address=lives)
        if person is None:
            return None
        found: dict[str, Any] = {"type": kind, "who": person}
        if employer:
            named = organisations.read(employer, scope)
            number = named.codings[0]["code"] if named.codings else ""
            behalf = mention_organization([named.text, *[""] * 8, number], facility, scope)
            if behalf is not None:
                found["onBehalfOf"] = behalf
        return found

    return apply


@function(parts={"who": 2})
def operator(options: Options) -> Apply:
    """The person who entered it (Provenance.agent)."""
    read = agent(Options(options.facility, options.tables, "enterer"))
    return lambda raw, scope: read(raw, "", "", scope)


@function(3)
def sending_agent(options: Options) -> Apply:
    """Which facility did it (the first of two HD that says so; else the sender), in the part that `as` says.

    FHIR always asks who it was, so MSH-9, which no sender deletes, stands before them.
    """
    facility = options.facility
    kind = {"coding": [{"system": _AGENT, "code": options.argument or "performer"}]}

    def apply(message_type: str, first: str, second: str, scope: Scope) -> dict[str, Any]:
        for raw in (first, second):
            named = _facility_named(raw, facility, scope) if raw else None
            if named is not None:
                return {"type": kind, "who": named}
        sender = {"reference": f"Organization/{organization_id(facility)}", "display": scope.context.facility_name}
        return {"type": kind, "who": sender}

    return apply


def _facility_named(raw: str, facility: str, scope: Scope) -> Resource | None:
    """The reference to the organisation of an HD: its name and, where it has one, its universal id."""
    parts = [*scope.components(raw), ""]
    return mention_organization([parts[0] or parts[1], *[""] * 8, parts[1]], facility, scope)


@function()
def device_agent(options: Options) -> Apply:
    """The device by which it was entered (Provenance.agent), from a code and its name."""
    facility, concepts = options.facility, Concepts(options, numbers=True)
    kind = {"coding": [{"system": _AGENT, "code": "enterer"}]}

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = concepts.read(raw, scope)
        number = found.codings[0]["code"] if found.codings else ""
        if not number and not found.text:
            return None
        identity = resource_id("Device", facility, number or found.text)
        device: Resource = {"resourceType": "Device", "id": identity}
        if number:
            device["identifier"] = [{"system": facility_system(facility, "device"), "value": number}]
        if found.text:
            device["deviceName"] = [{"name": found.text, "type": "user-friendly-name"}]
        note(f"Device/{identity}", device, scope)
        who: Resource = {"reference": f"Device/{identity}"}
        return {"type": kind, "who": {**who, "display": found.text} if found.text else who}

    return apply


@function(3)
def event_place(options: Options) -> Apply:
    """Where it was done: a facility (XON or HD) as a place, with its address and telephones."""
    facility = options.facility
    where, phone = address(options), telecom(options)

    def apply(raw: str, addresses: str, phones: str, scope: Scope) -> Resource | None:
        parts = scope.components(raw)
        name = parts[0] or (parts[1] if len(parts) > 1 else "")
        if not name:
            return None
        identity = resource_id("Location", facility, "facility", name)
        place: Resource = {"resourceType": "Location", "id": identity, "name": name, "mode": "instance"}
        if at := repetitions(where, addresses, scope):
            place["address"] = at[0]
        if reached := repetitions(phone, phones, scope):
            place["telecom"] = reached
        note(f"Location/{identity}", place, scope)
        return {"reference": f"Location/{identity}", "display": name}

    return apply
