"""ROL and PRT: who takes part, in which role and when."""

from __future__ import annotations

from typing import Any

from engine.identifiers import organization_id, resource_id
from engine.mapping.functions.addresses import telecom
from engine.mapping.functions.codes import concept
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.people import mention_organization, mention_practitioner
from engine.mapping.functions.times import period
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_PRIMARY_CARE = frozenset({"PP", "FHCP"})
"""HL7 table 0443: primary care provider, family health care professional."""


class Roles:
    """Makes the PractitionerRole of a ROL or PRT for one facility."""

    def __init__(self, options: Options) -> None:
        self._facility = options.facility
        plain = Options(options.facility, options.tables)
        self._code, self._specialty = concept(plain), concept(plain)
        self._phone, self._locations = telecom(plain), Locations(plain)

    def read(
        self, role: str, person: str, phones: str, location: str, organization: str, kind: str, scope: Scope
    ) -> Resource | None:
        practitioner = mention_practitioner(scope.components(person), self._facility, scope)
        employer = scope.components(organization) if organization else []
        works_for = mention_organization(employer, self._facility, scope)
        if practitioner is None:
            return None
        code = self._code(role, scope) if role else None
        key = (practitioner["reference"], scope.first(role), works_for["reference"] if works_for else "")
        identity = resource_id("PractitionerRole", self._facility, *key)
        found: Resource = {"resourceType": "PractitionerRole", "id": identity, "practitioner": practitioner}
        found["organization"] = works_for or {
            "reference": f"Organization/{organization_id(self._facility)}",
            "display": scope.context.facility_name,
        }
        if "identifier" in practitioner:
            found["identifier"] = [practitioner["identifier"]]
        if code is not None:
            found["code"] = [code]
        if kind and (specialty := self._specialty(kind, scope)):
            found["specialty"] = [specialty]
        if location and (at := self._locations.read(location, scope)) and "reference" in at:
            found["location"] = [at]
        reached = [value for each in phones.split("~") if each and (value := self._phone(each, scope))]
        if reached:
            found["telecom"] = reached
        reference: Resource = {"reference": f"PractitionerRole/{identity}"}
        if "display" in practitioner:
            reference["display"] = practitioner["display"]
        scope.mentioned.setdefault(reference["reference"], found)
        return reference


@function(8, table=True)
def role(options: Options) -> Apply:
    """Someone's role in the visit (Encounter.participant): role, person, begin, end, telephone, place, employer, kind.

    The table gives the part; where it has none, the sender's code stands for it.
    """
    roles, table = Roles(options), options.needed_table
    listed = concept(Options(options.facility, options.tables, None, options.table))
    plain, valid = concept(Options(options.facility, options.tables)), period(options)

    def apply(
        kind: str,
        person: str,
        begin: str,
        end: str,
        phones: str,
        location: str,
        organization: str,
        provider: str,
        scope: Scope,
    ) -> dict[str, Any] | None:
        individual = roles.read(kind, person, phones, location, organization, provider, scope)
        if individual is None:
            return None
        found: dict[str, Any] = {"individual": individual}
        row = table.find(scope.first(kind)) if kind else None
        part = (listed if row is None or row["code"] else plain)(kind, scope) if kind else None
        if part is not None:
            found["type"] = [part]
        if during := valid(begin, end, scope):
            found["period"] = during
        return found

    return apply


@function(6)
def performing_role(options: Options) -> Apply:
    """Someone's role in a procedure (Procedure.performer): role, person, telephone, place, employer, kind."""
    roles, function_of = Roles(options), concept(Options(options.facility, options.tables))

    def apply(
        kind: str, person: str, phones: str, location: str, organization: str, provider: str, scope: Scope
    ) -> dict[str, Any] | None:
        actor = roles.read(kind, person, phones, location, organization, provider, scope)
        if actor is None:
            return None
        part = function_of(kind, scope) if kind else None
        return {"function": part, "actor": actor} if part is not None else {"actor": actor}

    return apply


@function(2)
def general_practitioner(options: Options) -> Apply:
    """A reference to the person of a ROL or PRT whose role is primary care; any other role gives nothing here."""

    def apply(kind: str, person: str, scope: Scope) -> Resource | None:
        if scope.first(kind).upper() not in _PRIMARY_CARE:
            return None
        return mention_practitioner(scope.components(person), options.facility, scope)

    return apply
