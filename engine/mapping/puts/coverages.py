"""IN1: who pays, under which plan and in which group."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.relatives import SUBSCRIBER
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.addresses import write_address, write_telecom
from engine.mapping.puts.names import write_name
from engine.mapping.puts.patients import type_code, write_person_identifier
from engine.mapping.puts.people import write_organization
from engine.mapping.registry import Options, Put, puts

_NAME, _NUMBER, _ADDRESS, _PHONE, _PERSON = 1, 2, 3, 4, 7
"""Places of the fields of a company in the row."""


@puts("payor")
def write_payor(options: Options) -> Put:
    where, phone, called = write_address(options), write_telecom(options), write_name(options)

    def put(payors: Any, back: Back) -> dict[int, Field] | None:
        reference: Any = payors[0] if payors else {}
        known = back.resource(reference)
        if known and known.get("resourceType") != "Organization":
            return None
        fields = _company(options, reference, back)
        if not fields:
            return None
        persons = [each["name"] for each in known.get("contact", ()) if "name" in each]
        several = ((_ADDRESS, where, known.get("address", ())), (_PHONE, phone, known.get("telecom", ())))
        for at, write, values in (*several, (_PERSON, called, persons)):
            if written := [found for value in values if (found := write(value, back)) is not None]:
                fields[at] = written
        return fields

    return put


def _company(options: Options, reference: Any, back: Back) -> dict[int, Field]:
    """The name of a company, and its number as a CX."""
    known = back.resource(reference)
    identifier = next(iter(known.get("identifier", ())), None) or reference.get("identifier", {})
    name, number = known.get("name") or reference.get("display", ""), identifier.get("value", "")
    found: dict[int, Field] = {_NAME: name} if name else {}
    if number:
        assigner = identifier.get("assigner", {}).get("display", "")
        found[_NUMBER] = (number, "", "", assigner, type_code(identifier))
    return found


@puts("coverage_class")
def write_coverage_class(options: Options) -> Put:
    """Number and name of a plan in one field; those of a group in two."""
    kind = options.argument or "plan"

    def put(found: Any, back: Back) -> dict[int, Field] | None:
        codes = [each.get("code") for each in found.get("type", {}).get("coding", ())]
        value, name = found.get("value", ""), found.get("name", "")
        if kind not in codes or not value:
            return None
        if kind == "plan":
            return {0: (value, name)}
        return {1: name} if name == value else {0: value, 1: name}

    return put


@puts("policy_holder")
def write_policy_holder(options: Options) -> Put:
    """The group or the employer; its number stands with it."""
    return lambda reference, back: (
        {0: found} if (found := write_organization(options)(reference, back)) is not None else None
    )


@puts("subscriber_number")
def write_subscriber_number(options: Options) -> Put:
    write = write_person_identifier(options)

    def put(extension: Any, back: Back) -> Field | None:
        found: Field | None = (
            write(extension.get("valueIdentifier", {}), back) if extension.get("url") == SUBSCRIBER else None
        )
        return found

    return put
