"""Which identifiers of a Patient belong to one person, whichever facility wrote them?"""

from __future__ import annotations

from typing import Any

from engine.identifiers import PERSONAL_SYSTEMS

PersonalKey = tuple[str, str]
"""(system, value)."""

NOT_TO_MATCH_ON = frozenset({"old", "temp"})


def personal_keys(patient: dict[str, Any]) -> list[PersonalKey]:
    """The identifiers that may match exactly, sorted: locks are taken in this order.

    An identifier whose `use` is old or temp (a failed check digit, a superseded card) never matches.
    """
    return sorted(
        {
            (identifier["system"], identifier["value"])
            for identifier in patient.get("identifier") or ()
            if identifier.get("system") in PERSONAL_SYSTEMS
            and identifier.get("value")
            and identifier.get("use") not in NOT_TO_MATCH_ON
        }
    )
