"""ORC and OBR around an order: who asked for it and from where, how to reach them, what was last done to it."""

from __future__ import annotations

from typing import Any

from engine.identifiers import organization_id, resource_id
from engine.mapping.functions.addresses import address, reaches_somebody, telecom
from engine.mapping.functions.people import mention_organization, mention_practitioner, note
from engine.mapping.functions.times import date_time
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, Value, function
from engine.mapping.scope import Scope

CONTROL_SYSTEM = "http://terminology.hl7.org/ValueSet/v2-0119"
"""As HL7's map of ORC-1 writes it."""
_EVENT = "http://hl7.org/fhir/StructureDefinition/businessEvent"
_CALLBACK = "http://hl7.org/fhir/StructureDefinition/servicerequest-order-callback-phone-number"


def repetitions(apply: Apply, raw: str, scope: Scope) -> list[Value]:
    """What each repetition of a field gives."""
    return [value for each in raw.split("~") if each and (value := apply(each, scope)) is not None]


@function(6, parts={"display": 2}, mentions=True)
def ordering_provider(options: Options) -> Apply:
    """Who asked (ORC-12, else OBR-16), as a PractitionerRole of the facility that ORC-21 names, else of the sender.

    Further fields: the person's address (ORC-24), the facility's name, address and telephones (ORC-21 to ORC-23).
    """
    facility = options.facility
    where, phone = address(options), telecom(options)

    def apply(
        provider: str, otherwise: str, home: str, place: str, place_at: str, phones: str, scope: Scope
    ) -> Resource | None:
        lives = repetitions(where, home, scope) if home else []
        named = provider or otherwise
        person = mention_practitioner(scope.components(named), facility, scope, address=lives) if named else None
        if person is None and provider and otherwise:
            person = mention_practitioner(scope.components(otherwise), facility, scope, address=lives)
        if person is None:
            return None
        works_for = (
            mention_organization(
                scope.components(place),
                facility,
                scope,
                address=repetitions(where, place_at, scope),
                telecom=repetitions(phone, phones, scope),
            )
            if place
            else None
        )
        key = (person["reference"], works_for["reference"]) if works_for else (person["reference"],)
        identity = resource_id("PractitionerRole", facility, *key)
        reference: Resource = {"reference": f"PractitionerRole/{identity}"}
        if "display" in person:
            reference["display"] = person["display"]
        role: Resource = {"resourceType": "PractitionerRole", "id": identity}
        if "identifier" in person:
            reference["identifier"] = person["identifier"]
            role["identifier"] = [person["identifier"]]
        role["practitioner"] = person
        role["organization"] = works_for or {
            "reference": f"Organization/{organization_id(facility)}",
            "display": scope.context.facility_name,
        }
        note(reference["reference"], role, scope)
        return reference

    return apply


@function(2)
def order_event(options: Options) -> Apply:
    """What was last done to the order (ORC-1) and when (ORC-9), as HL7's extension businessEvent."""
    read = date_time(options)

    def apply(control: str, at: str, scope: Scope) -> dict[str, Any] | None:
        code = scope.first(control).upper()
        if not code:
            return None
        value = {"coding": [{"system": CONTROL_SYSTEM, "code": code}]}
        parts: list[dict[str, Any]] = [{"url": "value", "valueCodeableConcept": value}]
        if at and (when := read(at, scope)):
            parts.append({"url": "date", "valueDateTime": when})
        return {"url": _EVENT, "extension": parts}

    return apply


@function()
def callback(options: Options) -> Apply:
    """The telephone by which to ask back about an order (extension); what nobody could call or write to is none."""
    phone = telecom(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = phone(raw, scope)
        if value is not None and not reaches_somebody(value["value"]):
            scope.doubt("no-telephone", "neither a telephone number nor an address to write to; it is left out", 1)
            return None
        return {"url": _CALLBACK, "valueContactPoint": value} if value is not None else None

    return apply


@function()
def confidentiality(options: Options) -> Apply:
    """How confidential something is (ORC-28, PV2-22), as a security label; Y is restricted, N says nothing."""
    labels = options.tables["confidentiality"]

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        local = scope.first(raw)
        row = labels.find(local) if local else None
        if row is None:
            if local:
                scope.doubt("code-unmapped", "a confidentiality that table confidentiality does not list", 1)
            return None
        return {"system": row["system"], "code": row["code"], "display": row["display"]} if row["code"] else None

    return apply
