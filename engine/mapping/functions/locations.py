"""PL: where somebody is. Each level that is named becomes a Location, part of the one around it."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.identifiers import facility_system, organization_id, resource_id
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

LIMIT_REMEMBERED = 4096
PREADMIT = "P"
"""HL7 table 0004: the patient is expected."""
_PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
_DESCRIPTION = 8
_KIND = 5
_NURSING_UNIT = "N"
"""HL7 table 0305."""


class _Level(NamedTuple):
    """A level of a place: its component in PL, from 0, and what FHIR calls it."""

    at: int
    code: str
    display: str


_LEVELS = (
    _Level(3, "si", "Site"),
    _Level(6, "bu", "Building"),
    _Level(7, "lvl", "Level"),
    _Level(0, "", ""),
    _Level(1, "ro", "Room"),
    _Level(2, "bd", "Bed"),
)
"""Facility, building, floor, point of care, room, bed, after HL7's map of PL; a point of care may be a ward, a clinic
or a department, and only PL.6 says which."""

Placed = tuple[Resource, tuple[tuple[str, Resource], ...]]
"""The reference to a place, and the Locations to be noted with it, by reference."""


class Locations:
    """Reads PL for one facility, remembering what it read: a hospital has some hundred beds."""

    __slots__ = ("_facility", "_known")

    def __init__(self, options: Options) -> None:
        self._facility = options.facility
        self._known: dict[str, Placed] = {}

    def read(self, raw: str, scope: Scope) -> Resource | None:
        placed = self._known.get(raw)
        if placed is None:
            found = self._placed(scope.components(raw), scope)
            if found is None:
                return None
            if len(self._known) >= LIMIT_REMEMBERED:
                self._known.clear()
            self._known[raw] = placed = found
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
            path += [str(level.at + 1), parts[level.at]]
            identity = resource_id("Location", self._facility, *path)
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
    """Where the patient is for a while (PL in PV1-11); `as` says active or completed."""
    read = place(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = read(raw, scope)
        return {"extension": [_CLASSIFICATION], **found} if found is not None else None

    return apply


@function(2)
def assigned_place(options: Options) -> Apply:
    """Where the patient is (PV1-3): active, and planned while the patient is only expected (PV1-2)."""
    here, expected = (place(Options(options.facility, options.tables, status)) for status in ("active", "planned"))

    def apply(raw: str, patient_class: str, scope: Scope) -> dict[str, Any] | None:
        read = expected if scope.first(patient_class).upper() == PREADMIT else here
        found: dict[str, Any] | None = read(raw.split("~", 1)[0], scope) if raw else None
        return found

    return apply


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
