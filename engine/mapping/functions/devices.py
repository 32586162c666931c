"""PRT after OBX: the device that took part in an observation, and where it was done."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.addresses import address
from engine.mapping.functions.codes import concept
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.people import note
from engine.mapping.functions.times import read_moment
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_EVENT_LOCATION = "http://hl7.org/fhir/StructureDefinition/event-location"
_HRF = "("
"""How a device identifier in its human readable form begins: (01)00844588003288."""


@function(8, gathers=True)
def udi_device(options: Options) -> Apply:
    """The device (PRT-10) with its UDI (PRT-16 to PRT-22), which becomes a Device: the first one named."""
    facility, kind_of = options.facility, concept(Options(options.facility, options.tables))

    def read(row: tuple[str, ...], scope: Scope) -> Resource | None:
        number, udi, made, expires, lot, serial, donation, kind = row
        value, identifier = scope.first(number), scope.first(udi)
        if not value and not identifier:
            return None
        identity = resource_id("Device", facility, value or identifier)
        device: Resource = {"resourceType": "Device", "id": identity}
        carriers = [{"carrierHRF": value}] if value.startswith(_HRF) else []
        if value and not carriers:
            device["identifier"] = [{"system": facility_system(facility, "device"), "value": value}]
        if identifier:
            carriers.append({"deviceIdentifier": identifier})
        if carriers:
            device["udiCarrier"] = carriers
        for element, raw in (("manufactureDate", made), ("expirationDate", expires)):
            if raw and (at := read_moment(scope.first(raw), scope).date_time):
                device[element] = at
        for element, raw in (("lotNumber", lot), ("serialNumber", serial), ("distinctIdentifier", donation)):
            if stated := scope.first(raw):
                device[element] = stated
        if kind and (sort := kind_of(kind, scope)):
            device["type"] = sort
        note(f"Device/{identity}", device, scope)
        return {"reference": f"Device/{identity}"}

    def apply(*fields: Any) -> Resource | None:
        *columns, scope = fields
        found = [device for row in zip(*columns, strict=True) if (device := read(row, scope)) is not None]
        return found[0] if found else None

    return apply


@function(2, gathers=True)
def observed_at(options: Options) -> Apply:
    """Where it was observed (extension), for each PRT that says so: a place (PRT-9), else an address (PRT-14)."""
    facility = options.facility
    places, where = Locations(options), address(options)

    def read(place: str, seat: str, scope: Scope) -> Resource | None:
        named = places.read(place, scope) if place else None
        if named is not None and "reference" in named:
            return named
        found = where(seat, scope) if seat else None
        if found is None:
            return None
        identity = resource_id("Location", facility, "address", seat)
        note(f"Location/{identity}", {"resourceType": "Location", "id": identity, "address": found}, scope)
        return {"reference": f"Location/{identity}"}

    def apply(locations: list[str], addresses: list[str], scope: Scope) -> list[dict[str, Any]] | None:
        found = [at for row in zip(locations, addresses, strict=True) if (at := read(*row, scope)) is not None]
        return [{"url": _EVENT_LOCATION, "valueReference": at} for at in found] or None

    return apply
