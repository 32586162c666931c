"""What is a finding? Something that a person should settle; nothing is dropped or guessed silently."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    INFORMATION = "information"
    WARNING = "warning"
    """Processing went on; a person should look."""
    ERROR = "error"
    """The envelope is held until a person settles this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to settle. `text` names places, never values of a patient.

    code      stable hyphenated name, e.g. `charset-doubtful`, `id-card-check-digit`
    location  field, tag or file and line: `PID-5[1].1`, `(0010,0010)`
    rule      mapping rule id, where a rule raised it
    value     digest of the value it is about, by which the same doubt of the same patient is known again; may be empty
    once      what it is told of once for all messages of a facility, `OBR-4 XP-01`; empty: with every message
    """

    code: str
    text: str
    severity: Severity = Severity.WARNING
    location: str | None = None
    rule: str | None = None
    once: str = ""
    value: str = ""
