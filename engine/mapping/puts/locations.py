"""References to places as PL, each Location at its level."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.registry import Options, Put, puts

_COMPONENT = {"si": 3, "bu": 6, "lvl": 7, "wa": 0, "ro": 1, "bd": 2}
"""By the code of the physical type, the component of PL from 0; a Location without one is the point of care."""
_KIND, _DESCRIPTION = 5, 8
_LONGEST_CHAIN = 6
_ASSIGNED = ("active", "planned")
_LEFT = "completed"


def _is_where_it_ended(value: Any, back: Back) -> bool:
    """Whether the patient was there until the visit ended; any other place that was left was left before."""
    ended = value.get("period", {}).get("end")
    return bool(ended) and any(visit.get("period", {}).get("end") == ended for visit in back.of_type("Encounter"))


def _is_assigned(value: Any, back: Back) -> bool:
    status = value.get("status")
    return status in _ASSIGNED or (status == _LEFT and _is_where_it_ended(value, back))


def place_parts(reference: Any, back: Back) -> tuple[str, ...] | None:
    """The components of PL; None where the reference says nothing of a place."""
    parts = [""] * 9
    found = back.resource(reference)
    if found.get("resourceType") != "Location":
        parts[_DESCRIPTION] = reference.get("display", "")
        return tuple(parts) if parts[_DESCRIPTION] else None
    parts[_DESCRIPTION] = found.get("description", "")
    for _ in range(_LONGEST_CHAIN):
        codings = found.get("physicalType", {}).get("coding", ())
        code = next((str(each.get("code", "")) for each in codings), "")
        at = _COMPONENT.get(code, 0)
        value = next((str(each["value"]) for each in found.get("identifier", ()) if "value" in each), "")
        parts[at] = parts[at] or value or found.get("name", "")
        if code == "wa":
            parts[_KIND] = "N"
        found = back.resource(found.get("partOf", {}))
        if not found:
            break
    return tuple(parts) if any(parts) else None


@puts("place")
def write_place(options: Options) -> Put:
    def put(value: Any, back: Back) -> Field | None:
        if options.argument and (value.get("status", "") != options.argument or _is_where_it_ended(value, back)):
            return None
        return place_parts(value.get("location", {}), back)

    return put


@puts("assigned_place")
def write_assigned_place(options: Options) -> Put:
    def put(value: Any, back: Back) -> dict[int, Field] | None:
        return _assigned(value, back) if "extension" not in value else None

    return put


@puts("temporary_place_now")
def write_temporary_place_now(options: Options) -> Put:
    def put(value: Any, back: Back) -> dict[int, Field] | None:
        return _assigned(value, back) if "extension" in value else None

    return put


def _assigned(value: Any, back: Back) -> dict[int, Field] | None:
    found = place_parts(value.get("location", {}), back) if _is_assigned(value, back) else None
    return {0: found} if found is not None else None


@puts("temporary_place")
def write_temporary_place(options: Options) -> Put:
    plain = write_place(options)

    def put(value: Any, back: Back) -> Field | None:
        found: Field | None = plain(value, back) if "extension" in value else None
        return found

    return put


@puts("location")
def write_location(options: Options) -> Put:
    return place_parts


@puts("discharged_to")
def write_discharged_to(options: Options) -> Put:
    return lambda value, back: value.get("display") or None
