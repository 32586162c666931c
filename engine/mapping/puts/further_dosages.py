"""Further TQ1 of one medicine: other times with other amounts."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written, system_names
from engine.mapping.puts.dosages import write_whole_number
from engine.mapping.puts.texts import text_or_none
from engine.mapping.puts.timings import (
    TQ1,
    write_as_needed,
    write_bounds,
    write_occurrence_duration,
    write_repeat_pattern,
    write_time_of_day,
)
from engine.mapping.puts.units import written_cq
from engine.mapping.registry import Options, Put, puts

_AMOUNT, _PATTERN, _TIMES, _BOUNDS, _TAKES, _OFTEN, _PRIORITY, _CONDITION, _TEXT = 0, 1, 2, 3, 6, 7, 8, 9, 10


@puts("route")
def write_route(options: Options) -> Put:
    written = Written(options, options.table)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        found = written.of(value)
        return {0: found} if found is not None else None

    return put


@puts("further_dosages")
def write_further_dosages(options: Options) -> Put:
    """A TQ1 for each dosage after the first, whose own amount then stands in TQ1-2 as well."""
    names = system_names(options)
    pattern, time, bounds = write_repeat_pattern(options), write_time_of_day(options), write_bounds(options)
    takes, often, as_needed = (
        write_occurrence_duration(options),
        write_whole_number(options),
        write_as_needed(options),
    )

    def one(dosage: Any, back: Back) -> dict[int, Field]:
        timing = dosage.get("timing", {})
        repeat = timing.get("repeat", {})
        found: dict[int, Field | None] = {
            _AMOUNT: _amount(dosage),
            _PATTERN: pattern(timing, back),
            _TIMES: [written for each in repeat.get("timeOfDay", ()) if (written := time(each, back))],
            _TAKES: takes(repeat, back),
            _OFTEN: often(repeat.get("count"), back),
            _PRIORITY: as_needed(dosage, back),
            _CONDITION: next((each["text"] for each in dosage.get("additionalInstruction", ()) if "text" in each), ""),
            _TEXT: text_or_none(dosage.get("text")),
        }
        found |= {_BOUNDS + at: value for at, value in (bounds(repeat, back) or {}).items()}
        return {at: value for at, value in found.items() if value}

    def _amount(dosage: Any) -> Field | None:
        dose: Any = next(iter(dosage.get("doseAndRate", ())), {})
        return written_cq(dose.get("doseQuantity", {}), names)

    def put(resource: Any, back: Back) -> list[dict[int, Field]] | None:
        dosages = resource.get("dosageInstruction", ())
        if len(dosages) < 2 or back.version < TQ1:
            return None
        first = _amount(dosages[0])
        return [{_AMOUNT: first} if first else {}, *(one(each, back) for each in dosages[1:])]

    return put
