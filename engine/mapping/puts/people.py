"""References to people and organisations as XCN, NDL and XON, with what their resources say of them."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, organization_id
from engine.mapping.functions.people import performer_function
from engine.mapping.lens.back import Back, Field, target
from engine.mapping.mapped import Resource
from engine.mapping.puts.addresses import write_address
from engine.mapping.puts.names import name_kind, name_parts
from engine.mapping.puts.patients import type_code
from engine.mapping.puts.times import written_period
from engine.mapping.registry import Options, Put, puts

_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def _is_person(reference: Any) -> bool:
    kind = target(reference).partition("/")[0] or reference.get("type", "")
    return kind in ("Practitioner", "PractitionerRole", "")


def person_parts(reference: Any, back: Back) -> tuple[str, ...] | None:
    """The components of XCN; None where the reference names no person."""
    if not _is_person(reference):
        return None
    found = back.resource(reference)
    if found.get("resourceType") == "PractitionerRole":
        return person_parts(found.get("practitioner", {}), back)
    identifier = next(iter(found.get("identifier", ())), None) or reference.get("identifier", {})
    name = next(iter(found.get("name", ())), None) or {"text": reference.get("display", "")}
    number = identifier.get("value", "")
    start, end = written_period(name.get("period"))
    further = [*name.get("suffix", ()), "", "", ""][2]
    parts = (
        *(number, *name_parts(name), "", identifier.get("assigner", {}).get("display", ""), name_kind(name)),
        *("", "", type_code(identifier), "", "", "", "", "", start, end, further),
    )
    return parts if any(parts) else None


@puts("practitioner", "practitioner_role")
def write_person(options: Options) -> Put:
    return person_parts


@puts("named_practitioner")
def write_named_person(options: Options) -> Put:
    def put(reference: Any, back: Back) -> Field | None:
        parts = person_parts(reference, back)
        return (parts[:7],) if parts is not None else None

    return put


@puts("participant")
def write_participant(options: Options) -> Put:
    part = options.argument or "PART"

    def put(value: Any, back: Back) -> Field | None:
        codes = [
            coding.get("code")
            for kind in value.get("type", ())
            for coding in kind.get("coding", ())
            if coding.get("system") == _PARTICIPATION
        ]
        return person_parts(value.get("individual", {}), back) if part in codes else None

    return put


@puts("organization")
def write_organization(options: Options) -> Put:
    def put(reference: Any, back: Back) -> Field | None:
        if target(reference).partition("/")[0] != "Organization":
            return None
        found: Resource = back.resource(reference)
        identifier = next(iter(found.get("identifier", ())), None) or reference.get("identifier", {})
        name = found.get("name") or reference.get("display", "")
        number = identifier.get("value", "")
        assigner = identifier.get("assigner", {}).get("display", "")
        if not name and not number:
            return None
        return (name, "", "", "", "", assigner, type_code(identifier), "", "", number)

    return put


@puts("performing")
def write_performing(options: Options) -> Put:
    said = performer_function(options.argument or "")

    def put(reference: Any, back: Back) -> Field | None:
        return person_parts(reference, back) if said in reference.get("extension", ()) else None

    return put


@puts("ordering_provider")
def write_ordering_provider(options: Options) -> Put:
    """The person, and the organisation the person works for where it is not the sender."""
    organization = write_organization(options)
    own = f"Organization/{organization_id(options.facility)}"

    def put(reference: Any, back: Back) -> dict[int, Field] | None:
        person = person_parts(reference, back)
        if person is None:
            return None
        employer = back.resource(reference).get("organization", {})
        place = organization(employer, back) if employer and target(employer) != own else None
        return {0: person, 3: place} if place else {0: person}

    return put


@puts("performing_laboratory")
def write_performing_laboratory(options: Options) -> Put:
    organization, address = write_organization(options), write_address(options)

    def put(reference: Any, back: Back) -> dict[int, Field] | None:
        found = organization(reference, back)
        if found is None:
            return None
        seat = next(iter(back.resource(reference).get("address", ())), None)
        written = address(seat, back) if seat else None
        return {0: found, 1: written} if written else {0: found}

    return put


@puts("producer")
def write_producer(options: Options) -> Put:
    system = facility_system(options.facility, "organization")

    def put(reference: Any, back: Back) -> Field | None:
        if reference.get("type") != "Organization" or "reference" in reference:
            return None
        identifier = reference.get("identifier", {})
        number = identifier.get("value", "") if identifier.get("system") == system else ""
        display = reference.get("display", "")
        return (number, display) if number or display else None

    return put
