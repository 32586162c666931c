"""TQ1, and the TQ of older versions: when and how often a medicine is to be taken."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.timings import AS_NEEDED, DAYS_OF_THE_WEEK, ON_DAYS_OF_THE_WEEK
from engine.mapping.functions.usual_times import code_of_frequency, frequency_of_code
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.results import written_number
from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts

TQ1 = (2, 5)
"""The version that brought TQ1; before it, and beside it, a TQ says less."""
_TQ_UNITS = {"s": "S", "min": "M", "h": "H", "d": "D", "wk": "W", "mo": "L"}
_NO_SECONDS = "00"


@puts("repeat_pattern")
def write_repeat_pattern(options: Options) -> Put:
    """An RPT; of a TQ the interval, which is its code alone."""

    def put(timing: Any, back: Back) -> Field | None:
        repeat = timing.get("repeat", {})
        often = repeat.get("frequency", 1), repeat.get("period"), repeat.get("periodUnit", "")
        code, words = _code(timing.get("code", {}))
        code = code or ("" if words or often[1] is None else code_of_frequency(*often))
        if back.version < TQ1:
            return code or None
        parts: list[Any] = [(code, words), *[""] * 9]
        if often[1] is not None and often[0] == 1 and frequency_of_code(code) != often:
            parts[4], parts[5] = written_number(often[1]), often[2]
        days = [DAYS_OF_THE_WEEK.index(day) for day in repeat.get("dayOfWeek", ())]
        if days and days == list(range(days[0], days[-1] + 1)):
            parts[1:4] = ON_DAYS_OF_THE_WEEK, str(days[0] + 1), str(days[-1] + 1)
        if events := repeat.get("when"):
            parts[7] = events[0]
            if isinstance(repeat.get("offset"), int):
                parts[8:10] = str(repeat["offset"]), "min"
        return tuple(parts) if any((code, words, *parts[1:])) else None

    return put


def _code(concept: Any) -> tuple[str, str]:
    """Code and words of a timing."""
    coding: Any = next((each for each in concept.get("coding", ()) if each.get("code")), {})
    return coding.get("code", ""), coding.get("display") or concept.get("text", "")


@puts("time_of_day")
def write_time_of_day(options: Options) -> Put:
    def put(time: Any, back: Back) -> Field | None:
        hours, minutes, seconds = str(time).split(":")
        return hours + minutes + ("" if seconds == _NO_SECONDS else seconds)

    return put


@puts("bounds")
def write_bounds(options: Options) -> Put:
    """Start and end, or how long; in a TQ the components 4, 5 and 3."""

    def put(repeat: Any, back: Back) -> dict[int, Field] | None:
        older = back.version < TQ1
        if during := repeat.get("boundsPeriod"):
            start, end = written_time(during.get("start")), written_time(during.get("end"))
            return {3: start, 4: end} if older else {0: start, 1: end}
        takes = repeat.get("boundsDuration", {})
        number, unit = written_number(takes.get("value")), takes.get("code") or takes.get("unit", "")
        if not number:
            return None
        if older:
            return {5: f"{_TQ_UNITS[unit]}{number}"} if unit in _TQ_UNITS and number.isdecimal() else None
        return {2: (number, unit)}

    return put


@puts("occurrence_duration")
def write_occurrence_duration(options: Options) -> Put:
    def put(repeat: Any, back: Back) -> Field | None:
        number = written_number(repeat.get("duration"))
        return (number, repeat.get("durationUnit", "")) if number else None

    return put


@puts("as_needed")
def write_as_needed(options: Options) -> Put:
    def put(dosage: Any, back: Back) -> Field | None:
        return AS_NEEDED if dosage.get("asNeededBoolean") or "asNeededCodeableConcept" in dosage else None

    return put
