"""MSH-9: which event a message tells of."""

from __future__ import annotations

from engine.mapping.scope import Scope

_TABLE = frozenset({"HL70003", "0003"})


def event_of(message_type: str, scope: Scope) -> str:
    """`S12` of SIU^S12; empty where there is none."""
    parts = scope.components(message_type)
    return parts[1] if len(parts) > 1 else ""


def names_event(raw: str, scope: Scope) -> bool:
    """Whether a reason (CE) is but the event again, by the table that it names: HL7 asks for a reason of every one."""
    parts = scope.components(raw)
    return len(parts) > 2 and parts[2].upper() in _TABLE
