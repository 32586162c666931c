"""MSH-9: which event a message tells of."""

from __future__ import annotations

from engine.mapping.scope import Scope


def event_of(message_type: str, scope: Scope) -> str:
    """`S12` of SIU^S12; empty where there is none."""
    parts = scope.components(message_type)
    return parts[1] if len(parts) > 1 else ""
