"""Further TQ1 and RXR of one medicine: other times with other amounts, and other routes to choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.mapping.functions.codes import concept
from engine.mapping.functions.dosages import count, dose_amount
from engine.mapping.functions.timings import as_needed, bounds, occurrence_duration, repeat_pattern, time_of_day
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

FIELDS_OF_TQ1 = 11
"""After them stand three fields of the amount, in RXO or RXE, and three of RXR."""

Read = Callable[..., Any]


@function(None, gathers=True)
def route(options: Options) -> Apply:
    """The route by which it is given (RXR-1). A further RXR, also of another site or method, is a finding."""
    read = concept(options)

    def apply(*said: Any) -> dict[str, Any] | None:
        *fields, scope = said
        first, *further = zip(*fields, strict=True)
        if _is_another(first, further):
            scope.doubt("repetition-not-mapped", "further routes are alternatives; only the first is taken")
        found: dict[str, Any] | None = read(first[0].split("~", 1)[0], scope) if first[0] else None
        return found

    return apply


@function(None, gathers=True)
def further_times(options: Options) -> Apply:
    """Gives nothing, and a finding where a further TQ1 says another time or priority: an order has one of each."""

    def apply(*said: Any) -> None:
        *fields, scope = said
        first, *further = zip(*fields, strict=True)
        if _is_another(first, further):
            scope.doubt("repetition-not-mapped", "an order has one time and one priority; only the first TQ1 is taken")

    return apply


def _is_another(first: Sequence[str], further: Sequence[Sequence[str]]) -> bool:
    return any(any(each) and each != first for each in further)


@function(FIELDS_OF_TQ1 + 6, elements=True, gathers=True, repeats=True)
def further_dosages(options: Options) -> Apply:
    """The dosages of every TQ1 after the first: TQ1-2 to 4, 7, 8, 6, 13, 14, 9 to 11; the amount; RXR-1, 2 and 4."""
    dosages = _Dosages(Options(options.facility, options.tables))

    def apply(*said: Any) -> list[dict[str, Any]] | None:
        *fields, scope = said
        times = list(zip(*fields[:FIELDS_OF_TQ1], strict=True))[1:]
        amount, way = ([field[0] for field in fields[at : at + 3]] for at in (FIELDS_OF_TQ1, FIELDS_OF_TQ1 + 3))
        return [dosages.read(each, amount, way, scope) for each in times if any(each)] or None

    return apply


class _Dosages:
    """Reads one TQ1 for one facility as a dosage of its own."""

    def __init__(self, options: Options) -> None:
        self._concept, self._dose, self._pattern = concept(options), dose_amount(options), repeat_pattern(options)
        self._bounds, self._takes, self._often = bounds(options), occurrence_duration(options), count(options)
        self._time, self._as_needed = time_of_day(options), as_needed(options)

    def read(self, time: Sequence[str], amount: Sequence[str], way: Sequence[str], scope: Scope) -> dict[str, Any]:
        much, pattern, times, begins, ends, lasts, takes, often, priority, condition, words = time
        found: dict[str, Any] = {}
        if text := scope.first(words):
            found["text"] = text
        if said := scope.plain(condition):
            found["additionalInstruction"] = [{"text": said}]
        timing: dict[str, Any] = (self._pattern(pattern, scope) if pattern else None) or {}
        repeat = dict(timing.get("repeat", {}))
        if hours := [found_at for each in times.split("~") if each and (found_at := self._time(each, scope))]:
            repeat["timeOfDay"] = hours
        repeat |= self._bounds(begins, ends, lasts, "", "", "", scope) or {}
        repeat |= (self._takes(takes, scope) if takes else None) or {}
        if often and (how_often := self._often(often, scope)):
            repeat["count"] = how_often
        if repeat:
            timing = {**timing, "repeat": repeat}
        if timing:
            found["timing"] = timing
        found |= (self._as_needed(priority, scope) if priority else None) or {}
        for name, raw in zip(("route", "site", "method"), way, strict=True):
            if raw and (value := self._concept(raw.split("~", 1)[0], scope)) is not None:
                found[name] = value
        dose = self._dose("", "", "", much, scope) if much else self._dose(*amount, "", scope)
        return {**found, "doseAndRate": [dose]} if dose is not None else found
