"""NK1, GT1 and IN1: the people around a patient, and who answers for the cost."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.addresses import address, telecom
from engine.mapping.functions.codes import concept
from engine.mapping.functions.names import person_name
from engine.mapping.functions.patients import personal_identifier, typed
from engine.mapping.functions.people import mention_organization
from engine.mapping.functions.times import period, period_of
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, Value, function
from engine.mapping.scope import Scope

_COVERAGE_CLASS = "http://terminology.hl7.org/CodeSystem/coverage-class"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
_WORK = "work"


def _repetitions(apply: Apply, raw: str, scope: Scope) -> list[Value]:
    return [value for each in raw.split("~") if each and (value := apply(each, scope)) is not None]


@function(15, repeats=True, table=True)
def contact(options: Options) -> Apply:
    """Someone to turn to for the patient (Patient.contact): name, relationship, address, telephones, sex.

    Where it is an organisation (NK1-13), NK1-30 to NK1-32 say whom to ask for there; NK1-40 and NK1-41 are telephones.
    """
    name, where, relation = person_name(options), address(options), concept(options)
    role = concept(Options(options.facility, options.tables, None, options.tables["contact_role"]))
    phone = telecom(options)
    at_work = telecom(Options(options.facility, options.tables, _WORK))
    sexes, valid = options.tables["sex"], period(options)

    def apply(
        names: str,
        relationship: str,
        roles: str,
        addresses: str,
        phones: str,
        business: str,
        sex: str,
        begin: str,
        end: str,
        organization: str,
        asked: str,
        asked_by: str,
        asked_at: str,
        reach: str,
        reach_asked: str,
        scope: Scope,
    ) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        if relations := [*_repetitions(relation, relationship, scope), *_repetitions(role, roles, scope)]:
            found["relationship"] = relations
        if called := _repetitions(name, names, scope):
            found["name"] = called[0]
        reached = [*_repetitions(phone, phones, scope), *_repetitions(at_work, business, scope)]
        reached += [*_repetitions(phone, reach, scope), *_repetitions(phone, reach_asked, scope)]
        if reached:
            found["telecom"] = reached
        if lives := _repetitions(where, addresses, scope):
            found["address"] = lives[0]
        row = sexes.find(scope.first(sex)) if sex else None
        if row is not None and row["code"]:
            found["gender"] = row["code"]
        if organization:
            person: dict[str, Any] = {}
            if known_as := _repetitions(name, asked, scope):
                person["name"] = known_as[0]
            if telephones := _repetitions(phone, asked_by, scope):
                person["telecom"] = telephones
            if seat := _repetitions(where, asked_at, scope):
                person["address"] = seat[0]
            parts = scope.components(organization.split("~")[0])
            contacts = [person] if person else []
            if known := mention_organization(parts, options.facility, scope, contact=contacts):
                found["organization"] = known
        # FHIR asks of a contact that it can be named or reached.
        if not found.keys() & {"name", "telecom", "address", "organization"}:
            return None
        if during := valid(begin.split("~")[0], end.split("~")[0], scope):
            found["period"] = during
        return found

    return apply


@function(parts={"value": 1, "system": 4, "type": 5, "period": 7})
def person_identifier(options: Options) -> Apply:
    """An identifier of somebody else (CX); a 居民身份证 is recognised. `as`: its type if none is said."""
    facility, default = options.facility, options.argument

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        parts += [""] * (8 - len(parts))
        if not parts[0]:
            return None
        kind = parts[4] or default or ""
        found = personal_identifier(parts[0], kind, scope)
        if found is None:
            system = facility_system(facility, "person", parts[3])
            found = {"system": system, "value": parts[0]}
            if kind:
                found = {"type": typed(kind.upper()), **found}
        if valid := period_of(parts[6], parts[7], scope, 7):
            found["period"] = valid
        return found

    return apply


@function(0)
def mother(options: Options) -> Apply:
    """The relationship of a mother."""
    return lambda scope: [{"coding": [{"system": _ROLE, "code": "MTH", "display": "mother"}]}]


@function(8, repeats=True)
def payor(options: Options) -> Apply:
    """Who pays (Coverage.payor): the company, its number, address, telephone and contact; unknown if none is named.

    FHIR always asks for a payor, so the number of the segment stands first: a deleted company deletes no payor.
    """
    where, phone, called = address(options), telecom(options), person_name(options)

    def apply(
        line: str,
        name: str,
        number: str,
        addresses: str,
        phones: str,
        plan: str,
        policy: str,
        persons: str,
        scope: Scope,
    ) -> list[dict[str, Any]]:
        parts = scope.components(name.split("~")[0])
        parts += [""] * (10 - len(parts))
        company = scope.components(number.split("~")[0])
        company += [""] * (5 - len(company))
        if company[0] and not parts[9]:
            # Known by the number of IN1-3, whose authority and type stand in other components than an XON's.
            parts[9], parts[5], parts[6] = company[0], company[3], company[4] or parts[6]
        found = mention_organization(
            parts,
            options.facility,
            scope,
            address=_repetitions(where, addresses, scope),
            telecom=_repetitions(phone, phones, scope),
            contact=[{"name": person} for person in _repetitions(called, persons, scope)],
        )
        return [found] if found else [{"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}]

    return apply


@function(0)
def payor_unknown(options: Options) -> Apply:
    """That nobody says who pays."""
    return lambda scope: [{"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}]


SUBSCRIBER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-subscriberId"
_SUBSCRIBER_NUMBER = "SN"
"""HL7 table 0203."""


@function(2)
def policy_holder(options: Options) -> Apply:
    """Who holds the policy (Coverage.policyHolder): the group or employer (IN1-11) and its number (IN1-10)."""

    def apply(name: str, number: str, scope: Scope) -> Resource | None:
        parts = scope.components(name.split("~")[0])
        parts += [""] * (10 - len(parts))
        group = [*scope.components(number.split("~")[0]), *[""] * 4]
        if group[0] and not parts[9]:
            parts[9], parts[5], parts[6] = group[0], group[3], group[4] or parts[6]
        return mention_organization(parts, options.facility, scope)

    return apply


@function()
def subscriber_number(options: Options) -> Apply:
    """The number of the subscriber in the group (IN1-10 of type SN), as R5's extension; any other gives nothing."""
    read = person_identifier(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        if len(parts) < 5 or parts[4].upper() != _SUBSCRIBER_NUMBER:
            return None
        number = read(raw, scope)
        return {"url": SUBSCRIBER, "valueIdentifier": number} if number is not None else None

    return apply


@function(None)
def coverage_class(options: Options) -> Apply:
    """A class of the coverage from its number and, where that stands apart, its name; `as` says which: plan, group."""
    kind = options.argument or "plan"

    def apply(number: str, *name_and_scope: Any) -> dict[str, Any] | None:
        *names, scope = name_and_scope
        parts = scope.components(number)
        value, called = parts[0], scope.first(names[0]) if names else ""
        called = called or (parts[1] if len(parts) > 1 else "")
        if not value and not called:
            return None
        found: dict[str, Any] = {
            "type": {"coding": [{"system": _COVERAGE_CLASS, "code": kind}]},
            "value": value or called,
        }
        if called:
            found["name"] = called
        return found

    return apply
