"""MFE and LOC: the places of a facility, as its master file lists them."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.locations import Locations
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope


@makes_id(2)
def place_id(options: Options) -> MakeId:
    """The place that LOC-1, else MFE-4, names (PL): the one that messages about patients name."""
    locations = Locations(options)

    def make(place: str, key: str, within: str, scope: Scope) -> str | None:
        for raw in (place, key):
            named = locations.read(raw, scope) if raw else None
            if named is not None and "reference" in named:
                return str(named["reference"]).removeprefix("Location/")
        return None

    return make


@function(2, elements=True)
def place_entry(options: Options) -> Apply:
    """What a PL (LOC-1, else MFE-4) says of the place itself: name, number, kind, and the place it is part of."""
    locations = Locations(options)

    def apply(place: str, key: str, scope: Scope) -> dict[str, Any] | None:
        for raw in (place, key):
            named = locations.read(raw, scope) if raw else None
            if named is not None and "reference" in named:
                made = scope.mentioned[named["reference"]]
                return {name: value for name, value in made.items() if name not in ("id", "resourceType")}
        return None

    return apply


@function()
def place_status(options: Options) -> Apply:
    """Whether a place is in use, from what is done to its entry (MFE-1)."""
    table = options.tables["master_file_events"]

    def apply(doing: str, scope: Scope) -> str:
        event = scope.first(doing)
        row = looked_up(table, event, scope) if event else None
        return "inactive" if row is not None and row["code"] == "false" else "active"

    return apply


@function(elements=True)
def place_description(options: Options) -> Apply:
    """What describes a place (LOC-2). A place that has a name beside its number is written with it."""

    def apply(raw: str, scope: Scope) -> dict[str, str] | None:
        said = scope.first(raw)
        return {"description": said} if said else None

    return apply
