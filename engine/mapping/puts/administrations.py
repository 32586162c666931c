"""RXA of RAS: whether, and when, something was given to a patient."""

from __future__ import annotations

from typing import Any

from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.prescriptions import refused
from engine.mapping.puts.times import written_period, written_time
from engine.mapping.registry import Options, Put, puts

_COMPLETION = {"completed": "CP", "stopped": "PA", "not-done": "NA"}
"""RXA-20 (HL7 table 0322)."""
_TAKEN_BACK, _FOLLOWS = "D", "RE"


@puts("administration_status")
def write_administration_status(options: Options) -> Put:
    def put(status: Any, back: Back) -> dict[int, Field] | None:
        if status == "entered-in-error":
            return {1: _TAKEN_BACK, 2: _FOLLOWS}
        if status not in _COMPLETION:
            raise refused(back.message_type, "MedicationAdministration", status)
        return {0: _COMPLETION[status], 2: _FOLLOWS}

    return put


@puts("given_at")
def write_given_at(options: Options) -> Put:
    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        if "effectivePeriod" in resource:
            start, end = written_period(resource["effectivePeriod"])
            return {0: start, 1: end}
        at = written_time(resource.get("effectiveDateTime"))
        return {0: at} if at else None

    return put
