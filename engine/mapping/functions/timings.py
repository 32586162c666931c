"""TQ1, and the TQ of older versions: when and how often a medicine is to be taken."""

from __future__ import annotations

import re
from typing import Any

from engine.mapping.functions.durations import SECONDS, Durations, later, tq_amount, tq_duration, tq_times
from engine.mapping.functions.moments import moment
from engine.mapping.functions.numbers import folded, number
from engine.mapping.functions.times import read_moment
from engine.mapping.functions.units import UCUM
from engine.mapping.functions.usual_times import frequency_of_code
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_ABBREVIATION = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"
_PATTERN = "http://terminology.hl7.org/CodeSystem/v2-0335"
_ABBREVIATED = frozenset({"BID", "TID", "QID", "QOD", "QD", "AM", "PM", "Q1H", "Q2H", "Q3H", "Q4H", "Q6H", "Q8H"})
"""Repeat patterns (HL7 table 0335) that FHIR's preferred codes know by the same letters."""
ON_DAYS_OF_THE_WEEK = "DW"
"""Calendar alignment (HL7 table 0527)."""
DAYS_OF_THE_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHEN = frozenset({"HS", "WAKE", "C", "CM", "CD", "CV", "AC", "ACM", "ACD", "ACV", "PC", "PCM", "PCD", "PCV"})
"""FHIR's event-timing codes among HL7 table 0528."""
AS_NEEDED = "PRN"
"""HL7 table 0485."""
_FOR_EVER = "INDEF"
"""A duration of a TQ that says no more than that none is meant."""
_NOT_MORE = re.compile(r"\d{1,2}", re.ASCII)


@function()
def repeat_pattern(options: Options) -> Apply:
    """How often (Timing) from an RPT, or from the interval of a TQ: code, frequency, event, days of the week."""
    durations = Durations(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [part.strip() for part in raw.split("^")]
        parts += [""] * (10 - len(parts))
        code = [scope.plain(each) for each in parts[0].split("&")]
        found: dict[str, Any] = {}
        if code[0]:
            system = _ABBREVIATION if code[0].upper() in _ABBREVIATED else _PATTERN
            coding = {"system": system, "code": code[0].upper() if system == _ABBREVIATION else code[0]}
            if len(code) > 1 and code[1]:
                coding["display"] = code[1]
            found["code"] = {"coding": [coding]}
        elif len(code) > 1 and code[1]:
            found["code"] = {"text": code[1]}
        if repeat := _repeat([scope.first(part) for part in parts], parts, durations, scope):
            found["repeat"] = repeat
        return found or None

    return apply


def _repeat(plain: list[str], parts: list[str], durations: Durations, scope: Scope) -> dict[str, Any]:
    repeat: dict[str, Any] = {}
    every, unit = number(folded(plain[4])) if plain[4] else None, durations.unit(parts[5].replace("&", "^"), scope)
    if plain[4] and (every is None or every <= 0 or not unit):
        scope.doubt("duration-unreadable", "a period of repetition that is no length of time", 5)
    elif every is not None:
        repeat |= {"frequency": 1, "period": every, "periodUnit": unit}
    elif not plain[4] and (often := frequency_of_code(plain[0])) is not None:
        repeat |= zip(("frequency", "period", "periodUnit"), often, strict=True)
    if plain[1].upper() == ON_DAYS_OF_THE_WEEK:
        days = [int(day) for day in (plain[2], plain[3] or plain[2]) if _NOT_MORE.fullmatch(day)]
        if len(days) == 2 and 1 <= days[0] <= days[1] <= len(DAYS_OF_THE_WEEK):
            repeat["dayOfWeek"] = list(DAYS_OF_THE_WEEK[days[0] - 1 : days[1]])
    event = plain[7].upper()
    if event in _WHEN:
        repeat["when"] = [event]
        offset = durations.read(plain[8], parts[9].replace("&", "^"), scope) if plain[8] else None
        if offset is not None and event != "C" and offset.total_seconds() >= 60:
            repeat["offset"] = int(offset.total_seconds() // 60)
    elif event:
        scope.doubt("code-unmapped", "an event that FHIR's timing does not know", 8)
    return repeat


@function(6, elements=True)
def bounds(options: Options) -> Apply:
    """From when to when: start, end, duration (TQ1-7, TQ1-8, TQ1-6), else the same of a TQ (components 4, 5, 3).

    A TQ may say how many times instead of how long.
    """
    durations = Durations(options)

    def apply(
        begins: str, ends: str, lasts: str, tq_begins: str, tq_ends: str, tq_lasts: str, scope: Scope
    ) -> dict[str, Any] | None:
        start = _moment(begins or tq_begins, scope)
        end = _moment(ends or tq_ends, scope)
        takes = durations.of_quantity(lasts, scope) if lasts else None
        text = scope.first(tq_lasts)
        by = tq_duration(text) if text and takes is None else None
        if takes is not None and takes[1] in SECONDS:
            by = Durations(options).read(str(takes[0]), takes[1], scope)
        if start and not end and by is not None and "T" in start:
            end = later(start, by)
        takes = takes or tq_amount(text)
        often = tq_times(text)
        times = {"count": often} if often is not None else {}
        if text and text != _FOR_EVER and takes is None and often is None:
            scope.doubt("duration-unreadable", "a duration that is no length of time and no number of times")
        if start or end:
            if takes is not None and not (start and end):
                said = "how long it takes is left out: beside a day, and in months, it does not say exactly until when"
                scope.doubt("time-precision", said)
            return {"boundsPeriod": {name: at for name, at in (("start", start), ("end", end)) if at}, **times}
        if takes is None:
            return times or None
        amount, unit = takes
        return {"boundsDuration": {"value": amount, "unit": unit, "system": UCUM, "code": unit}, **times}

    return apply


def _moment(raw: str, scope: Scope) -> str:
    text = scope.first(raw)
    return read_moment(text, scope).date_time if text else ""


@function(elements=True)
def occurrence_duration(options: Options) -> Apply:
    """How long it takes each time (duration and durationUnit) from a CQ (TQ1-13)."""
    durations = Durations(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = durations.of_quantity(raw, scope)
        return {"duration": found[0], "durationUnit": found[1]} if found is not None else None

    return apply


@function()
def time_of_day(options: Options) -> Apply:
    """A time of day (TM), with seconds as FHIR asks."""

    def apply(raw: str, scope: Scope) -> str | None:
        text = scope.first(raw).replace(":", "")
        found = moment("20000101" + text) if text else None
        if found is None or not found.has_time:
            scope.doubt("time-unreadable", "no time of day that can be read", 1)
            return None
        return found.date_time[11:19]

    return apply


@function(elements=True)
def as_needed(options: Options) -> Apply:
    """Whether to take it as needed only (PRN in TQ1-9); any other priority says nothing of it."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        return {"asNeededBoolean": True} if scope.first(raw).upper() == AS_NEEDED else None

    return apply
