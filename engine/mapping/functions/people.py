"""XCN, NDL and XON: who did it, and for which organisation. The people named become resources of their own."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, organization_id, resource_id
from engine.mapping.functions.names import NEVER_A_PERSON, called, is_time, name_use
from engine.mapping.functions.patients import typed
from engine.mapping.functions.times import period_of
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

LIMIT_REMEMBERED = 4096
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PARTS = {
    "ATND": ("attender", "attender"),
    "REF": ("referrer", "referrer"),
    "CON": ("consultant", "consultant"),
    "ADM": ("admitter", "admitter"),
    "PART": ("Participation", "Participation"),
}
"""Display and text of a part in a visit."""
_PERFORMER_FUNCTION = "http://hl7.org/fhir/StructureDefinition/event-performerFunction"
_FUNCTION_SYSTEMS = {
    "SPRF": PARTICIPATION,
    "TRANS": PARTICIPATION,
    "responsibleObserver": "http://terminology.hl7.org/CodeSystem/practitioner-role",
    "MDIR": "http://terminology.hl7.org/CodeSystem/v2-0912",
}


def note(reference: str, resource: Resource, scope: Scope) -> None:
    """Notes a resource that a field names; what an earlier field said of it stays."""
    scope.mention(reference, resource)


def mention_practitioner(parts: list[str], facility: str, scope: Scope, **said: Any) -> Resource | None:
    """The reference to the person of an XCN's components, whose Practitioner is noted; None when nobody is named.

    `said` are further elements of the person, such as an address; empty ones are left out.
    """
    number = parts[0] if parts else ""
    name = called(parts[1:7], scope, first=2)
    if number and not name and is_time(number):
        scope.doubt("no-person", f"a time stands where a person belongs; nobody is recorded of it{NEVER_A_PERSON}", 1)
        number = ""
    if not number and not name:
        return None
    key = (number,) if number else ("name", name["text"])
    identity = resource_id("Practitioner", facility, *key)
    practitioner: Resource = {"resourceType": "Practitioner", "id": identity}
    reference: Resource = {"reference": f"Practitioner/{identity}"}
    if number:
        identifier: dict[str, Any] = {"system": facility_system(facility, "practitioner"), "value": number}
        if len(parts) > 12 and parts[12]:
            identifier = {"type": typed(parts[12]), **identifier}
        if len(parts) > 8 and parts[8]:
            identifier["assigner"] = {"display": parts[8]}
        practitioner["identifier"] = [identifier]
        reference["identifier"] = identifier
    if name:
        if len(parts) > 9:
            name |= _further(parts, scope, name)
        practitioner["name"] = [name]
        reference["display"] = name["text"]
    practitioner |= {element: value for element, value in said.items() if value}
    note(reference["reference"], practitioner, scope)
    return reference


def _further(parts: list[str], scope: Scope, name: dict[str, Any]) -> dict[str, Any]:
    """What XCN says of a name beyond its parts: kind (XCN.10), time (19, 20), professional suffix (21)."""
    found: dict[str, Any] = {}
    if use := name_use(parts[9], scope, 10):
        found["use"] = use
    if len(parts) > 18 and (valid := period_of(parts[18], parts[19] if len(parts) > 19 else "", scope, 19)):
        found["period"] = valid
    if len(parts) > 20 and parts[20]:
        found["suffix"] = [*name.get("suffix", ()), parts[20]]
    return found


class People:
    """Reads XCN for one facility, remembering whom it read: the same few doctors sign everything."""

    __slots__ = ("_facility", "_known")

    def __init__(self, options: Options) -> None:
        self._facility = options.facility
        self._known: dict[str, tuple[Resource, Resource]] = {}

    def read(self, raw: str, scope: Scope) -> Resource | None:
        known = self._known.get(raw)
        if known is None:
            noted = len(scope.doubts)
            reference, mentioned = scope.apart(mention_practitioner, scope.components(raw), self._facility)
            if reference is None:
                return None
            known = reference, mentioned[reference["reference"]]
            if len(scope.doubts) == noted:
                if len(self._known) >= LIMIT_REMEMBERED:
                    self._known.clear()
                self._known[raw] = known
        reference, practitioner = known
        scope.mention(reference["reference"], practitioner)
        return reference


@function(parts={"identifier": 1, "display": 2})
def practitioner(options: Options) -> Apply:
    """A reference to the person named (XCN), who becomes a Practitioner."""
    return People(options).read


@function(parts={"display": 2}, mentions=True)
def practitioner_role(options: Options) -> Apply:
    """A reference to the person named (XCN) as someone of the sending facility: a PractitionerRole."""
    facility = options.facility

    def apply(raw: str, scope: Scope) -> Resource | None:
        person = mention_practitioner(scope.components(raw), facility, scope)
        if person is None:
            return None
        identity = resource_id("PractitionerRole", facility, person["reference"])
        reference: Resource = {"reference": f"PractitionerRole/{identity}"}
        if "display" in person:
            reference["display"] = person["display"]
        role: Resource = {"resourceType": "PractitionerRole", "id": identity}
        if "identifier" in person:
            reference["identifier"] = person["identifier"]
            role["identifier"] = [person["identifier"]]
        role |= {
            "practitioner": person,
            "organization": {
                "reference": f"Organization/{organization_id(facility)}",
                "display": scope.context.facility_name,
            },
        }
        scope.mentioned.setdefault(reference["reference"], role)
        return reference

    return apply


@function(parts={"display": 1}, mentions=True)
def named_practitioner(options: Options) -> Apply:
    """A reference to the person of an NDL (OBR-32 to OBR-35); `as` says a performer's function: SPRF, TRANS."""
    facility = options.facility
    said = [performer_function(options.argument)] if options.argument else []

    def apply(raw: str, scope: Scope) -> Resource | None:
        person = raw.split("^", 1)[0]
        parts = [scope.plain(part) for part in person.split("&")]
        if len(parts) == 1 and "^" in raw:
            # Systems that write an XCN where an NDL belongs: 005454^王^医生.
            parts = scope.components(raw)
        named = mention_practitioner(parts, facility, scope)
        return {"extension": said, **named} if named is not None and said else named

    return apply


@function(parts={"display": 1, "identifier": 10})
def organization(options: Options) -> Apply:
    """A reference to the organisation named (XON), which becomes an Organization."""
    facility = options.facility

    def apply(raw: str, scope: Scope) -> Resource | None:
        parts = scope.components(raw)
        return mention_organization(parts, facility, scope)

    return apply


def mention_organization(parts: list[str], facility: str, scope: Scope, **said: Any) -> Resource | None:
    """The reference to the organisation of an XON's components, which is noted; None when none is named.

    `said` are further elements of the organisation, such as its address; empty ones are left out.
    """
    parts = parts + [""] * (10 - len(parts))
    name, number = parts[0], parts[9] or parts[2]
    if not name and not number:
        return None
    identity = resource_id("Organization", facility, *((number,) if number else ("name", name)))
    found: Resource = {"resourceType": "Organization", "id": identity}
    reference: Resource = {"reference": f"Organization/{identity}"}
    if number:
        identifier: dict[str, Any] = {"system": facility_system(facility, "organization"), "value": number}
        if parts[6]:
            identifier = {"type": typed(parts[6]), **identifier}
        if parts[5]:
            identifier["assigner"] = {"display": parts[5]}
        found["identifier"] = [identifier]
    if name:
        found["name"] = reference["display"] = name
    found |= {element: value for element, value in said.items() if value}
    note(reference["reference"], found, scope)
    return reference


@function(0)
def sender(options: Options) -> Apply:
    """A reference to the facility that sent the message."""
    reference = f"Organization/{organization_id(options.facility)}"

    def apply(scope: Scope) -> Resource:
        return {"reference": reference, "display": scope.context.facility_name}

    return apply


@function(parts={"individual": 1}, mentions=True)
def participant(options: Options) -> Apply:
    """Someone who took part in the visit, in the part that `as` says: ATND, REF, CON, ADM."""
    people, part = People(options), options.argument or "PART"
    kind: dict[str, Any] = {"coding": [{"system": PARTICIPATION, "code": part}]}
    if part in _PARTS:
        kind["coding"][0]["display"], kind["text"] = _PARTS[part]

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        person = people.read(raw, scope)
        return {"type": [kind], "individual": person} if person is not None else None

    return apply


@function(parts={"identifier": 1, "display": 2}, mentions=True)
def performing(options: Options) -> Apply:
    """A reference to the person named (XCN) as a performer, in the function that `as` says: MDIR, SPRF."""
    people, said = People(options), performer_function(options.argument or "")

    def apply(raw: str, scope: Scope) -> Resource | None:
        person = people.read(raw, scope)
        return {"extension": [said], **person} if person is not None else None

    return apply


def performer_function(code: str) -> Resource:
    """The extension that says in which function somebody performed (R4 has no element for it here)."""
    coding = {"system": _FUNCTION_SYSTEMS.get(code, PARTICIPATION), "code": code}
    return {"url": _PERFORMER_FUNCTION, "valueCodeableConcept": {"coding": [coding]}}
