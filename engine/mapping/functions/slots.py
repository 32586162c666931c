"""SIU^S23 and S24: times at which somebody or something cannot be booked, or can be again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.identifiers import resource_id
from engine.mapping.functions.appointments import Slots, stated_times
from engine.mapping.functions.codes import concept, looked_up
from engine.mapping.functions.events import event_of, names_event
from engine.mapping.functions.locations import Locations
from engine.mapping.functions.participations import Equipment, Reads
from engine.mapping.functions.people import People
from engine.mapping.functions.times import read_moment
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_FIELDS = 8


class _Booked:
    """Reads what a segment books: a person (AIP), a place (AIL) or a device (AIG), as `as` says."""

    def __init__(self, options: Options) -> None:
        made: dict[str, Callable[[Options], Reads]] = {"person": People, "place": Locations, "equipment": Equipment}
        self._reads = made[options.argument or "person"](options)

    def reference(self, raw: str, scope: Scope) -> Resource | None:
        found = self._reads.read(raw, scope)
        return found if found is not None and "reference" in found else None


@makes_id(1)
def schedule_id(options: Options) -> MakeId:
    """From the facility and whom or what the schedule is of; `as` says which: person, place, equipment."""
    booked, facility = _Booked(options), options.facility

    def make(raw: str, within: str, scope: Scope) -> str | None:
        of = booked.reference(raw, scope) if raw else None
        return resource_id("Schedule", facility, of["reference"]) if of is not None else None

    return make


@function()
def scheduled(options: Options) -> Apply:
    """Whom or what a schedule is of; `as` says which: person, place, equipment."""
    return _Booked(options).reference


class _Times:
    """Reads when a slot begins and ends, from the eight fields that say it."""

    def __init__(self, options: Options) -> None:
        self._slots = Slots(options)

    def read(self, fields: Sequence[str], scope: Scope) -> dict[str, str] | None:
        """Both as FHIR asks, with a time; None where one is missing."""
        start, amount, unit, offset, offset_unit, begins, ends, quantity = fields
        first, last = stated_times(begins, ends, quantity, scope)
        if first and last:
            found = {"start": read_moment(first, scope).date_time, "end": read_moment(last, scope).date_time}
        else:
            read = self._slots.read(first or start, amount, unit, offset, offset_unit, begins, quantity, scope)
            found = read or {}
        return found if len(found) == 2 and all("T" in at for at in found.values()) else None


@makes_id(_FIELDS)
def slot_id(options: Options) -> MakeId:
    """From the schedule and when the slot begins; none where its start or end is unknown. Fields as for slot_time."""
    facility, times = options.facility, _Times(options)

    def make(*said: Any) -> str | None:
        *fields, within, scope = said
        found = times.read(fields, scope)
        return resource_id("Slot", facility, within, found["start"]) if found is not None and within else None

    return make


@function(_FIELDS, elements=True)
def slot_time(options: Options) -> Apply:
    """From when to when: start, duration, its unit, offset, its unit, and before them TQ1-7, TQ1-8, SCH-11."""
    times = _Times(options)

    def apply(*said: Any) -> dict[str, str] | None:
        *fields, scope = said
        noted = len(scope.doubts)
        found = times.read(fields, scope)
        del scope.doubts[noted:]  # the row of the id says them
        return found

    return apply


@function()
def slot_reason(options: Options) -> Apply:
    """Why a time is blocked or free again (SCH-6) in words; nothing where it only names the event."""
    coded = concept(Options(options.facility, options.tables))

    def apply(raw: str, scope: Scope) -> str | None:
        found = None if names_event(raw, scope) else coded(raw, scope)
        return (found.get("text") or found["coding"][0]["code"]) if found is not None else None

    return apply


@function()
def slot_status(options: Options) -> Apply:
    """Whether the time is blocked or free again, from the event (MSH-9)."""
    table = options.tables["slot_events"]

    def apply(message_type: str, scope: Scope) -> str | None:
        row = looked_up(table, event_of(message_type, scope), scope)
        return row["code"] if row is not None else None

    return apply
