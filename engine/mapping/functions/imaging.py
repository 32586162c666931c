"""IPC, ZDS and RP: which study an order or a result is about, and on which station it is to be done."""

from __future__ import annotations

from typing import Any

from engine.identifiers import DICOM_UID, facility_system, is_uid, resource_id
from engine.mapping.functions.codes import Concepts
from engine.mapping.functions.people import note
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope


def study_number(raw: str, scope: Scope) -> dict[str, Any] | None:
    """The Study Instance UID of a field's first component as an Identifier; anything else is a doubt."""
    uid = scope.first(raw)
    if not uid:
        return None
    if not is_uid(uid):
        scope.doubt("study-uid-unfit", "no DICOM UID; the study goes by another one", 1)
        return None
    return {"system": DICOM_UID, "value": f"urn:oid:{uid}"}


@function(parts={"value": 1})
def study_uid(options: Options) -> Apply:
    """The Study Instance UID that an order brings (IPC-3, ZDS-1), as one of its numbers."""
    return study_number


@function(parts={"identifier": 1})
def study_named(options: Options) -> Apply:
    """A reference to the study that a Study Instance UID names (ZDS-1)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        number = study_number(raw, scope)
        return {"type": "ImagingStudy", "identifier": number} if number is not None else None

    return apply


@function(2)
def station(options: Options) -> Apply:
    """The station that is to do it, by its AE title (IPC-9) and its name (IPC-7); it becomes a Device."""
    facility, concepts = options.facility, Concepts(options)
    system = facility_system(facility, "ae-title")

    def apply(title: str, name: str, scope: Scope) -> Resource | None:
        ae, named = scope.first(title), concepts.read(name, scope) if name else None
        code = named.codings[0]["code"] if named is not None and named.codings else ""
        words = named.text if named is not None else ""
        if not ae and not code and not words:
            return None
        identity = resource_id("Device", facility, "station", ae or code or words)
        device: Resource = {"resourceType": "Device", "id": identity}
        numbers = [(system, ae), (facility_system(facility, "device"), code)]
        if known := [{"system": where, "value": value} for where, value in numbers if value]:
            device["identifier"] = known
        shown = words or code or ae
        device["deviceName"] = [{"name": shown, "type": "user-friendly-name"}]
        note(f"Device/{identity}", device, scope)
        return {"reference": f"Device/{identity}", "display": shown}

    return apply
