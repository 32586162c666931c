"""ROL and PRT: who takes part, in which role, for whom and when. The people become PractitionerRoles."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.identifiers import facility_system, organization_id, resource_id
from engine.mapping.functions.addresses import address, telecom
from engine.mapping.functions.codes import concept
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.ordering import repetitions
from engine.mapping.functions.people import mention_organization, mention_practitioner, note
from engine.mapping.functions.times import period
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_PRIMARY_CARE = frozenset({"PP", "FHCP"})
"""HL7 table 0443: primary care provider, family health care professional."""
_PREFERRED = "http://hl7.org/fhir/StructureDefinition/iso21090-preferred"
_WAYS = {
    "B": ("pager", None),
    "C": ("phone", "mobile"),
    "E": ("email", None),
    "F": ("fax", None),
    "H": ("phone", "home"),
    "O": ("phone", "work"),
}
"""HL7 table 0185: which telecom somebody prefers, by system and use."""


class Said(NamedTuple):
    """What a ROL or PRT says, field by field."""

    role: str
    person: str
    begin: str = ""
    end: str = ""
    phones: str = ""
    location: str = ""
    organization: str = ""
    kind: str = ""
    home: str = ""
    unit: str = ""
    numbers: str = ""
    preferred: str = ""


class Roles:
    """Makes the PractitionerRole of a ROL or PRT for one facility."""

    def __init__(self, options: Options) -> None:
        self._facility = options.facility
        plain = Options(options.facility, options.tables)
        self._concept, self._address = concept(plain), address(plain)
        self._phone, self._locations, self._period = telecom(plain), Locations(plain), period(plain)

    def read(self, said: Said, scope: Scope) -> Resource | None:
        """The reference to the person, or where none is named to the organisation, in that role."""
        lives = repetitions(self._address, said.home, scope)
        practitioner = mention_practitioner(
            scope.components(said.person.split("~", 1)[0]), self._facility, scope, address=lives
        )
        works_for = self._organization(said, practitioner is None, scope)
        if practitioner is None and works_for is None:
            return None
        code = self._concept(said.role, scope) if said.role else None
        key = (
            practitioner["reference"] if practitioner else "",
            scope.first(said.role),
            works_for["reference"] if works_for else "",
        )
        identity = resource_id("PractitionerRole", self._facility, *key)
        found: Resource = {"resourceType": "PractitionerRole", "id": identity}
        if practitioner is not None:
            found["practitioner"] = practitioner
        found["organization"] = works_for or {
            "reference": f"Organization/{organization_id(self._facility)}",
            "display": scope.context.facility_name,
        }
        if numbers := self._numbers(said, practitioner, scope):
            found["identifier"] = numbers
        if code is not None:
            found["code"] = [code]
        if said.kind and (specialty := self._concept(said.kind.split("~", 1)[0], scope)):
            found["specialty"] = [specialty]
        if said.location and (at := self._locations.read(said.location, scope)) and "reference" in at:
            found["location"] = [at]
        if reached := self._reached(said, scope):
            found["telecom"] = reached
        if during := self._period(said.begin, said.end, scope):
            found["period"] = during
        reference: Resource = {"reference": f"PractitionerRole/{identity}"}
        named = practitioner or works_for or {}
        if "display" in named:
            reference["display"] = named["display"]
        note(reference["reference"], found, scope)
        return reference

    def _organization(self, said: Said, alone: bool, scope: Scope) -> Resource | None:
        """The employer; where nobody is named, address and telephones are the organisation's own."""
        if not said.organization:
            return None
        kind = self._concept(said.unit, scope) if said.unit else None
        return mention_organization(
            scope.components(said.organization.split("~", 1)[0]),
            self._facility,
            scope,
            type=[kind] if kind is not None else [],
            address=repetitions(self._address, said.home, scope) if alone else [],
            telecom=repetitions(self._phone, said.phones, scope) if alone else [],
        )

    def _numbers(self, said: Said, practitioner: Resource | None, scope: Scope) -> list[dict[str, Any]]:
        """The person's number, then those of the role (EI or PLN)."""
        known = [practitioner["identifier"]] if practitioner and "identifier" in practitioner else []
        system = facility_system(self._facility, "role")
        return known + [
            {"system": system, "value": value} for each in said.numbers.split("~") if (value := scope.first(each))
        ]

    def _reached(self, said: Said, scope: Scope) -> list[dict[str, Any]]:
        reached = repetitions(self._phone, said.phones, scope)
        wanted = _WAYS.get(scope.first(said.preferred).upper()) if said.preferred else None
        if wanted is None:
            return reached
        system, use = wanted
        return [
            {"extension": [{"url": _PREFERRED, "valueBoolean": True}], **each}
            if each["system"] == system and use in (None, each.get("use"))
            else each
            for each in reached
        ]


@function(None, repeats=True, table=True)
def role(options: Options) -> Apply:
    """Someone's role in the visit (Encounter.participant): role, person, begin, end, telephone, place, employer, kind.

    Further fields: address, kind of unit, numbers, preferred way to be reached. The table gives the part; where it has
    none, the sender's code stands for it.
    """
    roles, table = Roles(options), options.needed_table
    listed = concept(Options(options.facility, options.tables, None, options.table))
    plain, valid = concept(Options(options.facility, options.tables)), period(options)

    def apply(*fields: Any) -> dict[str, Any] | None:
        *raws, scope = fields
        said = Said(*raws)
        individual = roles.read(said, scope)
        if individual is None:
            return None
        found: dict[str, Any] = {"individual": individual}
        kind = said.role
        row = table.find(scope.first(kind)) if kind else None
        part = (listed if row is None or row["code"] else plain)(kind, scope) if kind else None
        if part is not None:
            found["type"] = [part]
        if during := valid(said.begin, said.end, scope):
            found["period"] = during
        return found

    return apply


@function(None, repeats=True)
def performing_role(options: Options) -> Apply:
    """Someone's role in a procedure (Procedure.performer); fields as for role."""
    roles, function_of = Roles(options), concept(Options(options.facility, options.tables))

    def apply(*fields: Any) -> dict[str, Any] | None:
        *raws, scope = fields
        said = Said(*raws)
        actor = roles.read(said, scope)
        if actor is None:
            return None
        part = function_of(said.role, scope) if said.role else None
        return {"function": part, "actor": actor} if part is not None else {"actor": actor}

    return apply


@function(None, repeats=True)
def general_practitioner(options: Options) -> Apply:
    """A reference to the person of a ROL or PRT whose role is primary care, else nothing; fields as for role."""
    roles = Roles(options)

    def apply(*fields: Any) -> Resource | None:
        *raws, scope = fields
        said = Said(*raws)
        return roles.read(said, scope) if scope.first(said.role).upper() in _PRIMARY_CARE else None

    return apply


@function(None, repeats=True, gathers=True)
def observers(options: Options) -> Apply:
    """Who took part in an observation (Observation.performer), one for each PRT; fields as for role."""
    roles = Roles(options)

    def apply(*fields: Any) -> list[Resource] | None:
        *columns, scope = fields
        found = [who for row in zip(*columns, strict=True) if (who := roles.read(Said(*row), scope)) is not None]
        return found or None

    return apply
