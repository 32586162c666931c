"""RF1 and PRD: a referral, who refers and who is referred to."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, organization_id, resource_id
from engine.mapping.functions.addresses import address, telecom
from engine.mapping.functions.codes import PARTS_OF_A_CODE, Concepts, concept, looked_up
from engine.mapping.functions.events import event_of
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.names import called
from engine.mapping.functions.patients import typed
from engine.mapping.functions.people import mention_organization
from engine.mapping.functions.times import period_of
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_CANCELLED = "I14"
REFERRAL = {"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}
_FIELDS = 11


@makes_id(2)
def referral_id(options: Options) -> MakeId:
    """From the facility and the number that its first sender gave the referral (RF1-6), else its other one (RF1-11)."""
    facility = options.facility

    def make(originating: str, external: str, within: str, scope: Scope) -> str | None:
        number = scope.first(originating) or scope.first(external)
        return resource_id("ServiceRequest", facility, "referral", number) if number else None

    return make


@function(2)
def referral_status(options: Options) -> Apply:
    """The state of the referral: cancelled by its event (I14), else from RF1-1."""
    table = options.tables["referral_status"]

    def apply(stated: str, message_type: str, scope: Scope) -> str:
        if event_of(message_type, scope) == _CANCELLED:
            return "revoked"
        code = scope.first(stated)
        row = looked_up(table, code, scope) if code else None
        return row["code"] if row is not None and row["code"] else "active"

    return apply


@function(parts={"value": 1})
def referral_number(options: Options) -> Apply:
    """A number of the referral (EI) as an Identifier; `as` says whose: PLAC its first sender's, FILL the other's."""
    kind = options.argument or "PLAC"

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(raw), "", ""]
        if not parts[0]:
            return None
        system = facility_system(options.facility, "referral", parts[1] or parts[2])
        return {"type": typed(kind), "system": system, "value": parts[0]}

    return apply


@function(parts=PARTS_OF_A_CODE, remember=True)
def referral_kind(options: Options) -> Apply:
    """A kind of referral (RF1-3, RF1-5) beside the one that says that it is a referral; `as` names its HL7 table."""
    return concept(Options(options.facility, options.tables))


@function(0)
def referral_category(options: Options) -> Apply:
    """That a request is a referral."""
    return lambda scope: {"coding": [REFERRAL]}


class Providers:
    """Makes the PractitionerRole of a PRD for one facility."""

    def __init__(self, options: Options) -> None:
        self._facility = options.facility
        plain = Options(options.facility, options.tables)
        self._address, self._telecom = address(plain), telecom(plain)
        self._codes = Concepts(plain, numbers=True)
        self._locations, self.roles = Locations(plain), options.tables["referral_roles"]

    def part(self, role: str, scope: Scope) -> str:
        """What a role is to the referral: `requester`, `performer`; empty where it is neither."""
        row = looked_up(self.roles, scope.first(role), scope) if scope.first(role) else None
        return row["code"] if row is not None else ""

    def read(self, fields: list[str], scope: Scope) -> Resource | None:
        """Of PRD: 1 role, 2 name, 3 address, 4 place, 5 telephones, 7 numbers, 8 and 9 when, 10, 11, 13 employer."""
        role, name, where, place, phones, numbers, begins, ends, employer, employer_at, employer_phones = fields
        works_for = mention_organization(
            scope.components(employer) if employer else [],
            self._facility,
            scope,
            address=self._each(self._address, employer_at, scope),
            telecom=self._each(self._telecom, employer_phones, scope),
        )
        person = self._person(name, where, phones, numbers, scope)
        if person is None:
            return works_for
        key = (person["reference"], scope.first(role), works_for["reference"] if works_for else "")
        identity = resource_id("PractitionerRole", self._facility, *key)
        found: Resource = {"resourceType": "PractitionerRole", "id": identity, "practitioner": person}
        found["organization"] = works_for or {
            "reference": f"Organization/{organization_id(self._facility)}",
            "display": scope.context.facility_name,
        }
        if role and ((code := self._codes.read(role, scope)).codings or code.text):
            found["code"] = [code.as_json()]
        if place and (at := self._locations.read(place, scope)) and "reference" in at:
            found["location"] = [at]
        if valid := period_of(scope.first(begins), scope.first(ends), scope, 1):
            found["period"] = valid
        reference: Resource = {"reference": f"PractitionerRole/{identity}"}
        if "display" in person:
            reference["display"] = person["display"]
        scope.mentioned.setdefault(reference["reference"], found)
        return reference

    def _person(self, name: str, where: str, phones: str, numbers: str, scope: Scope) -> Resource | None:
        named = called(scope.components(name.split("~")[0]), scope) if name else None
        identifiers = [found for raw in numbers.split("~") if (found := self._number(raw, scope))]
        if not named and not identifiers:
            return None
        key = (identifiers[0]["value"],) if identifiers else ("name", named["text"] if named else "")
        identity = resource_id("Practitioner", self._facility, *key)
        person: Resource = {"resourceType": "Practitioner", "id": identity}
        reference: Resource = {"reference": f"Practitioner/{identity}"}
        if identifiers:
            person["identifier"] = identifiers
            reference["identifier"] = identifiers[0]
        if named:
            person["name"] = [named]
            reference["display"] = named["text"]
        if lives := self._each(self._address, where, scope):
            person["address"] = lives
        if reached := self._each(self._telecom, phones, scope):
            person["telecom"] = reached
        scope.mentioned.setdefault(reference["reference"], person)
        return reference

    def _number(self, raw: str, scope: Scope) -> dict[str, Any] | None:
        """PLN: number, kind, who says so, and until when it holds."""
        parts = [*scope.components(raw), "", "", ""]
        if not parts[0]:
            return None
        found: dict[str, Any] = {"type": typed(parts[1])} if parts[1] else {}
        found |= {"system": facility_system(self._facility, "practitioner"), "value": parts[0]}
        if parts[3] and (until := period_of("", parts[3], scope, 3)):
            found["period"] = until
        return found

    def _each(self, read: Apply, raw: str, scope: Scope) -> list[Any]:
        return [found for each in raw.split("~") if each and (found := read(each, scope)) is not None]


def _provider(options: Options, part: str) -> Apply:
    providers = Providers(options)

    def apply(*said: Any) -> Resource | None:
        *fields, scope = said
        noted = len(scope.doubts)
        if providers.part(fields[0], scope) != part:
            del scope.doubts[noted:]
            return None
        return providers.read(fields, scope)

    return apply


@function(_FIELDS, repeats=True)
def referring_provider(options: Options) -> Apply:
    """Who refers (PRD-1 RP), a PractitionerRole; fields as for other_provider."""
    return _provider(options, "requester")


@function(_FIELDS, repeats=True)
def referred_to_provider(options: Options) -> Apply:
    """Who is referred to (PRD-1 RT), a PractitionerRole; fields as for other_provider."""
    return _provider(options, "performer")


@function(_FIELDS, repeats=True)
def other_provider(options: Options) -> Apply:
    """Anybody else whom PRD names, in an extension (`as` is its URL): PRD-1 to 5, 7 to 11 and 13."""
    providers, url = Providers(options), options.argument
    if not url:
        raise TypeError("the row names no URL of the extension ('as')")

    def apply(*said: Any) -> dict[str, Any] | None:
        *fields, scope = said
        reference = None if providers.part(fields[0], scope) else providers.read(fields, scope)
        return {"url": url, "valueReference": reference} if reference is not None else None

    return apply
