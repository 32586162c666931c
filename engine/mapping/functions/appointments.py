"""SCH and AIS: when an appointment is, what it is for, and in what state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine.finding import Severity
from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.codes import concept, looked_up
from engine.mapping.functions.durations import Durations, later, tq_duration
from engine.mapping.functions.events import event_of, names_event
from engine.mapping.functions.moments import moment
from engine.mapping.functions.patients import typed
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

_TYPE_CODES = frozenset({"HL70277", "0277"})
"""SCH-7 that names this table holds the type of the appointment, where SCH-8 belongs."""
_MISSED = frozenset({"cancelled", "noshow"})
"""FHIR gives a reason of the event to these alone (invariant app-4)."""
DELETED = "D"
"""Segment action code (HL7 table 0206) of what takes part no more."""
_START, _END, _DURATION = 3, 4, 2
"""Components of a TQ, from 0."""

Times = tuple[str, str]
"""Start and end; empty where unknown."""


@makes_id(3)
def appointment_id(options: Options) -> MakeId:
    """From the facility, the filler's number of the appointment (SCH-2), else the placer's (SCH-1), and SCH-3."""
    facility = options.facility

    def make(filler: str, placer: str, occurrence: str, within: str, scope: Scope) -> str | None:
        number = scope.first(filler) or scope.first(placer)
        if not number:
            return None
        which = scope.first(occurrence)
        return resource_id("Appointment", facility, number, *((which,) if which else ()))

    return make


@function(parts={"value": 1})
def appointment_number(options: Options) -> Apply:
    """A number of the appointment (Identifier); `as` says whose: PLAC the placer's, FILL the filler's."""
    kind = options.argument or "PLAC"
    whose = {"PLAC": "appointment-placer", "FILL": "appointment-filler"}.get(kind, kind.lower())

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(raw), "", ""]
        if not parts[0]:
            return None
        system = facility_system(options.facility, whose, parts[1] or parts[2])
        return {"type": typed(kind), "system": system, "value": parts[0]}

    return apply


class _Statuses:
    """Says in what state an appointment is."""

    __slots__ = ("_codes", "_events")

    def __init__(self, options: Options) -> None:
        self._codes, self._events = options.tables["appointment_status"], options.tables["appointment_events"]

    def of(self, stated: str, message_type: str, scope: Scope) -> str:
        event = event_of(message_type, scope)
        row = looked_up(self._events, event, scope) if event else None
        if row is not None and row["decides"] == "yes":
            return row["code"]
        said = scope.first(stated)
        known = looked_up(self._codes, said, scope) if said else None
        if known is not None and known["code"]:
            return known["code"]
        return row["code"] if row is not None and row["code"] else "proposed"

    def decides(self, message_type: str, scope: Scope) -> bool:
        row = self._events.find(event_of(message_type, scope))
        return row is not None and row["decides"] == "yes"


@function(2)
def appointment_status(options: Options) -> Apply:
    """The state of the appointment: an event that cancels, deletes or missed it wins, then SCH-25, then the event."""
    statuses = _Statuses(options)
    return lambda stated, message_type, scope: statuses.of(stated, message_type, scope)


@function(3)
def service_status(options: Options) -> Apply:
    """The state of the appointment from its service (AIS-10), where the event and SCH-25 say none."""
    statuses = _Statuses(options)

    def apply(service: str, appointment: str, message_type: str, scope: Scope) -> str | None:
        if not scope.first(service) or scope.first(appointment) or statuses.decides(message_type, scope):
            return None
        return statuses.of(service, message_type, scope)

    return apply


@function(3)
def cancelation_reason(options: Options) -> Apply:
    """Why it was cancelled or missed (SCH-6); the reason of any other event has no place in FHIR."""
    coded, statuses = concept(Options(options.facility, options.tables)), _Statuses(options)

    def apply(reason: str, stated: str, message_type: str, scope: Scope) -> dict[str, Any] | None:
        noted = len(scope.doubts)
        status = statuses.of(stated, message_type, scope)
        del scope.doubts[noted:]  # the row of the status says them
        if not reason or status not in _MISSED or names_event(reason, scope):
            return None
        found: dict[str, Any] | None = coded(reason, scope)
        return found

    return apply


@function(parts={"coding": 1, "text": 2})
def appointment_reason(options: Options) -> Apply:
    """Why the patient comes (SCH-7); nothing where it names HL7 table 0277, which holds types."""
    coded = concept(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        if _names_types(raw, scope):
            return None
        found: dict[str, Any] | None = coded(raw, scope)
        return found

    return apply


@function(2)
def appointment_type(options: Options) -> Apply:
    """The type of the appointment (SCH-8), else SCH-7 where that names HL7 table 0277."""
    coded = concept(options)

    def apply(kind: str, reason: str, scope: Scope) -> dict[str, Any] | None:
        raw = kind or (reason if _names_types(reason, scope) else "")
        found: dict[str, Any] | None = coded(raw, scope) if raw else None
        return found

    return apply


def _names_types(raw: str, scope: Scope) -> bool:
    parts = scope.components(raw)
    return len(parts) > 2 and parts[2].upper() in _TYPE_CODES


@function(2)
def appointment_minutes(options: Options) -> Apply:
    """How many minutes it takes, from an amount and its unit."""
    durations = Durations(options)

    def apply(amount: str, unit: str, scope: Scope) -> int | None:
        takes = durations.read(amount, unit, scope)
        if takes is None:
            return None
        minutes, seconds = divmod(int(takes.total_seconds()), 60)
        if seconds or minutes < 1:
            scope.doubt("duration-unreadable", "FHIR asks for whole minutes; the duration is left out")
            return None
        return minutes

    return apply


def stated_times(begins: str, ends: str, quantity: str, scope: Scope) -> Times:
    """What TQ1 says, else what SCH-11 says, as it was written."""
    if scope.first(begins) or scope.first(ends):
        return scope.first(begins), scope.first(ends)
    parts = [*scope.components(quantity), "", "", "", "", ""]
    if not any(parts[1:]) and moment(parts[0]).has_time:  # no quantity looks so: the whole field is the start
        return parts[0], ""
    return parts[_START], parts[_END]


@function(5, elements=True)
def appointment_time(options: Options) -> Apply:
    """From when to when: TQ1-7 and TQ1-8, else SCH-11; the end else from how long it takes (SCH-9, SCH-10)."""
    durations = Durations(options)

    def apply(begins: str, ends: str, quantity: str, amount: str, unit: str, scope: Scope) -> dict[str, str] | None:
        start, end = stated_times(begins, ends, quantity, scope)
        began, ended = _instant(start, scope), _instant(end, scope)
        if began and not end:
            parts = [*scope.components(quantity), "", "", ""]
            takes = durations.read(amount, unit, scope) or tq_duration(parts[_DURATION])
            ended = later(began, takes) if takes else ""
        return _period(began, ended, scope)

    return apply


@function(8, elements=True)
def resource_time(options: Options) -> Apply:
    """From when to when by what is booked (AIS-4, AIS-7), where neither TQ1 nor SCH-11 says it.

    Fields: start, duration, its unit, offset, its unit, TQ1-7, TQ1-8, SCH-11. An offset counts from a start, so alone
    it says nothing.
    """
    durations = Durations(options)

    def apply(
        start: str,
        amount: str,
        unit: str,
        offset: str,
        offset_unit: str,
        begins: str,
        ends: str,
        quantity: str,
        scope: Scope,
    ) -> dict[str, str] | None:
        if any(stated_times(begins, ends, quantity, scope)):
            return None
        began = _instant(scope.first(start), scope)
        takes = durations.read(amount, unit, scope) if began else None
        return _period(began, later(began, takes) if takes else "", scope)

    return apply


@function(7)
def service_period(options: Options) -> Apply:
    """When the service is booked (Period): start, duration, its unit, offset, its unit, TQ1-7, SCH-11."""
    return Slots(options).read


@function(2)
def booked_service(options: Options) -> Apply:
    """What is booked (AIS-3), unless the action code (AIS-2) takes it away."""
    coded = concept(Options(options.facility, options.tables))

    def apply(raw: str, action: str, scope: Scope) -> dict[str, Any] | None:
        if not raw or scope.first(action).upper() == DELETED:
            return None
        found: dict[str, Any] | None = coded(raw, scope)
        return found

    return apply


class Slots:
    """Reads when something is booked: by its own start, else by its offset from the start of the appointment."""

    __slots__ = ("_durations",)

    def __init__(self, options: Options) -> None:
        self._durations = Durations(options)

    def read(
        self,
        start: str,
        amount: str,
        unit: str,
        offset: str,
        offset_unit: str,
        begins: str,
        quantity: str,
        scope: Scope,
    ) -> dict[str, str] | None:
        """A Period; its end needs a start with a time and a duration."""
        own = scope.first(start)
        if own:
            began = read_moment(own, scope).date_time
        else:
            began = self._after(stated_times(begins, "", quantity, scope)[0], offset, offset_unit, scope)
        if not began:
            return None
        takes = self._durations.read(amount, unit, scope)
        if takes is None or "T" not in began:
            return {"start": began}
        return {"start": began, "end": later(began, takes)}

    def _after(self, start: str, offset: str, unit: str, scope: Scope) -> str:
        if not start or not scope.first(offset):
            return ""
        by = self._durations.read(offset, unit, scope)
        noted = len(scope.doubts)
        began = read_moment(start, scope)
        del scope.doubts[noted:]  # the row of the appointment's time says them
        return later(began.date_time, by) if by is not None and began.has_time else ""


def _period(began: str, ended: str, scope: Scope) -> dict[str, str] | None:
    if began and ended and datetime.fromisoformat(ended) < datetime.fromisoformat(began):
        scope.doubt("time-reversed", "it ends before it begins; the end is left out")
        ended = ""
    if bool(began) != bool(ended):
        scope.doubt("appointment-time-incomplete", "only one end of the appointment is known", 0, Severity.INFORMATION)
    return {name: at for name, at in (("start", began), ("end", ended)) if at} or None


def _instant(text: str, scope: Scope) -> str:
    """FHIR asks for a time here: a date alone is left out."""
    if not text:
        return ""
    found = read_moment(text, scope)
    if found.has_time:
        return found.date_time
    if found.date:
        scope.doubt("time-precision", "a date without a time is left out here: FHIR asks for a time")
    return ""
