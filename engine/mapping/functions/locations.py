"""PL: where somebody is. Each level that is named becomes a Location, part of the one around it."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.identifiers import facility_system, organization_id, resource_id
from engine.mapping.functions.events import event_of
from engine.mapping.functions.times import read_moment
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

LIMIT_REMEMBERED = 4096
PREADMIT = "P"
"""HL7 table 0004: the patient is expected."""
FINISHED = "finished"
WITHDRAWN = frozenset({"cancelled", "entered-in-error"})
"""What a visit is that was called off or deleted, even where it had ended."""
_PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_DESCRIPTION = 8
_SITE = 3
_KIND = 5
_NURSING_UNIT = "N"
"""HL7 table 0305."""


class _Level(NamedTuple):
    """A level of a place: its component in PL, from 0, and what FHIR calls it."""

    at: int
    code: str
    display: str


_LEVELS = (
    _Level(_SITE, "si", "Site"),
    _Level(6, "bu", "Building"),
    _Level(7, "lvl", "Level"),
    _Level(0, "", ""),
    _Level(1, "ro", "Room"),
    _Level(2, "bd", "Bed"),
)
"""Facility, building, floor, point of care, room, bed, after HL7's map of PL; a point of care may be a ward, a clinic
or a department, and only PL.6 says which."""

_SAID = 4
"""What assigned_place is told besides the place: PV1-2, MSH-9, PV1-45, and the scope."""

Placed = tuple[Resource, tuple[tuple[str, Resource], ...]]
"""The reference to a place, and the Locations to be noted with it, by reference."""


class Locations:
    """Reads PL for one facility, remembering what it read: a hospital has some hundred beds."""

    __slots__ = ("_facility", "_known")

    def __init__(self, options: Options) -> None:
        self._facility = options.facility
        self._known: dict[tuple[str, frozenset[str]], Placed] = {}

    def read(self, raw: str, scope: Scope) -> Resource | None:
        key = raw, scope.context.calls_itself
        placed = self._known.get(key)
        if placed is None:
            found = self._placed(scope.components(raw), scope)
            if found is None:
                return None
            if len(self._known) >= LIMIT_REMEMBERED:
                self._known.clear()
            self._known[key] = placed = found
        reference, locations = placed
        for name, location in locations:
            scope.mentioned.setdefault(name, location)
        return reference

    def _placed(self, parts: list[str], scope: Scope) -> Placed | None:
        parts = parts + [""] * (_DESCRIPTION + 1 - len(parts))
        named = [level for level in _LEVELS if parts[level.at]]
        description = parts[_DESCRIPTION]
        if not named:
            return ({"display": description}, ()) if description else None
        made: list[tuple[str, Resource]] = []
        path: list[str] = []
        for level in named:
            own = [str(level.at + 1), parts[level.at]]
            identity = resource_id("Location", self._facility, *path, *own)
            if level.at != _SITE or parts[_SITE] not in scope.context.calls_itself:
                path += own  # a bed is the same bed whether or not the sender adds whose it is
            location: Resource = {
                "resourceType": "Location",
                "id": identity,
                "identifier": [{"system": facility_system(self._facility, "location"), "value": parts[level.at]}],
                "name": parts[level.at],
                "mode": "instance",
                "managingOrganization": {
                    "reference": f"Organization/{organization_id(self._facility)}",
                    "display": scope.context.facility_name,
                },
            }
            if level.code:
                location["physicalType"] = _physical(level.code, level.display)
            elif parts[_KIND].upper() == _NURSING_UNIT:
                location["physicalType"] = _physical("wa", "Ward")
            if made:
                location["partOf"] = {"reference": made[-1][0], "display": made[-1][1]["name"]}
            made.append((f"Location/{identity}", location))
        if description:
            made[-1][1]["description"] = description
        display = " ".join(parts[level.at] for level in named)
        return {"reference": made[-1][0], "display": display}, tuple(made)


def _physical(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": _PHYSICAL_TYPE, "code": code, "display": display}]}


@function(parts={"location": 1})
def place(options: Options) -> Apply:
    """Where the patient is (PL): bed, room, ward become Locations; `as` says active, planned, reserved or completed."""
    locations, status = Locations(options), options.argument

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        location = locations.read(raw, scope)
        if location is None:
            return None
        return {"location": location, "status": status} if status else {"location": location}

    return apply


_CLASSIFICATION = {
    "url": "http://hl7.org/fhir/StructureDefinition/subject-locationClassification",
    "valueCodeableConcept": {
        "coding": [{"system": "http://hl7.org/fhir/ValueSet/subject-location", "code": "temporary"}],
    },
}
"""As HL7's map of PV1-11 writes it."""


@function(parts={"location": 1})
def temporary_place(options: Options) -> Apply:
    """Where the patient was for a while (PL in PV1-43); `as` is its status."""
    read = place(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = read(raw, scope)
        return {"extension": [_CLASSIFICATION], **found} if found is not None else None

    return apply


@function(None)
def assigned_place(options: Options) -> Apply:
    """Where the patient is (PV1-3): active; planned while only expected; completed, with its end, once discharged.

    Fields: the place, PV1-2 and, for the end, MSH-9 and PV1-45; a row of a facility may leave the last two out.
    """
    now = _Now(options)

    def apply(raw: str, *said: Any) -> Resource | None:
        if len(said) < _SAID:
            *known, scope = said
            said = (*known, *[""] * (_SAID - len(said)), scope)
        patient_class, message_type, discharged, scope = said
        return now.read(raw, patient_class, message_type, discharged, scope)

    return apply


@function(4)
def temporary_place_now(options: Options) -> Apply:
    """Where the patient is for a while (PV1-11); the rest as for assigned_place."""
    now = _Now(options)

    def apply(raw: str, patient_class: str, message_type: str, discharged: str, scope: Scope) -> Resource | None:
        found = now.read(raw, patient_class, message_type, discharged, scope) if raw else None
        return {"extension": [_CLASSIFICATION], **found} if found is not None else None

    return apply


class _Now:
    """Says where the patient is, as far as the visit goes: somebody who was discharged is there no more."""

    __slots__ = ("_events", "_locations", "_states")

    def __init__(self, options: Options) -> None:
        self._locations, self._events = Locations(options), options.tables["visit_events"]
        self._states: dict[str, str] = {}
        """What was read so far of MSH-9; a feed has a few."""

    def read(self, raw: str, patient_class: str, message_type: str, discharged: str, scope: Scope) -> Resource | None:
        """From a place (PL), PV1-2, MSH-9 and PV1-45. A visit that was called off says nothing of how long."""
        location = self._locations.read(raw.split("~", 1)[0] if "~" in raw else raw, scope) if raw else None
        if location is None:
            return None
        state = self._states.get(message_type)
        if state is None:
            state = self._state(message_type, scope)
        if state in WITHDRAWN:
            return {"location": location}
        if discharged or state == FINISHED:
            ended = read_moment(scope.first(discharged), scope).date_time if discharged else ""
            over = {"location": location, "status": "completed"}
            return {**over, "period": {"end": ended}} if ended else over
        expected = scope.first(patient_class).upper() == PREADMIT
        return {"location": location, "status": "planned" if expected else "active"}

    def _state(self, message_type: str, scope: Scope) -> str:
        event = self._events.find(event_of(message_type, scope))
        state = event["code"] if event is not None else ""
        if len(self._states) >= LIMIT_REMEMBERED:
            self._states.clear()
        self._states[message_type] = state
        return state


@function(parts={"display": 1})
def discharged_to(options: Options) -> Apply:
    """Where the patient was discharged to (DLD): a reference in words; a code of the sender names no place of ours."""

    def apply(raw: str, scope: Scope) -> Resource | None:
        code = scope.first(raw)
        return {"display": code} if code else None

    return apply


@function()
def location(options: Options) -> Apply:
    """A reference to a place (PL), which becomes a Location."""
    return Locations(options).read
