"""DT, TS and DTM: dates and times, as precise as they were written."""

from __future__ import annotations

from typing import Any

from engine.finding import Severity
from engine.mapping.functions.moments import Moment, moment
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_INFORMATION = frozenset({"time-format", "time-precision"})


def read_moment(raw: str, scope: Scope, component: int = 0) -> Moment:
    """The moment of a component, its doubts noted."""
    found = moment(raw)
    if found.doubts:
        for code, text in found.doubts:
            scope.doubt(code, text, component, Severity.INFORMATION if code in _INFORMATION else Severity.WARNING)
    return found


def _first(raw: str, scope: Scope) -> str:
    """TS had a second component, the precision, which the text says itself."""
    return scope.first(raw) if "^" in raw or "&" in raw else raw


@function(remember=True)
def date(options: Options) -> Apply:
    """A date; a time that stands with it is left out."""

    def apply(raw: str, scope: Scope) -> str | None:
        return read_moment(_first(raw, scope), scope).date or None

    return apply


@function(remember=True)
def date_time(options: Options) -> Apply:
    """A date and time; +08:00 where no zone is given, and no more precise than it was written."""

    def apply(raw: str, scope: Scope) -> str | None:
        return read_moment(_first(raw, scope), scope).date_time or None

    return apply


@function(remember=True)
def instant(options: Options) -> Apply:
    """A date with its time; nothing where there is only a date."""

    def apply(raw: str, scope: Scope) -> str | None:
        found = read_moment(_first(raw, scope), scope)
        if found.has_time:
            return found.date_time
        if found.date:
            scope.doubt("time-precision", "a date without a time is left out here: FHIR asks for a time", 0)
        return None

    return apply


@function(elements=True)
def birth_date(options: Options) -> Apply:
    """The date of birth, and the time of birth where there is one."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = read_moment(_first(raw, scope), scope)
        if not found.date:
            return None
        if not found.has_time or found.date_time[11:19] == "00:00:00":
            return {"birthDate": found.date}
        return {
            "birthDate": found.date,
            "_birthDate": {"extension": [{"url": _BIRTH_TIME, "valueDateTime": found.date_time}]},
        }

    return apply


@function(2, elements=True)
def effective(options: Options) -> Apply:
    """When it was observed: a moment, or a period when there is an end."""

    def apply(start: str, end: str, scope: Scope) -> dict[str, Any] | None:
        began = read_moment(_first(start, scope), scope).date_time if start else ""
        ended = read_moment(_first(end, scope), scope).date_time if end else ""
        if began and ended and began != ended:
            return {"effectivePeriod": {"start": began, "end": ended}}
        return {"effectiveDateTime": began or ended} if began or ended else None

    return apply


@function(2)
def period(options: Options) -> Apply:
    """A period from two fields: start and end."""

    def apply(start: str, end: str, scope: Scope) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        if start and (began := read_moment(_first(start, scope), scope).date_time):
            found["start"] = began
        if end and (ended := read_moment(_first(end, scope), scope).date_time):
            found["end"] = ended
        return found or None

    return apply


def period_of(start: str, end: str, scope: Scope, component: int) -> dict[str, str]:
    """A period from two components of which the first is `component`; empty where neither can be read."""
    found: dict[str, str] = {}
    if start and (began := read_moment(start, scope, component).date_time):
        found["start"] = began
    if end and (ended := read_moment(end, scope, component + 1).date_time):
        found["end"] = ended
    return found
