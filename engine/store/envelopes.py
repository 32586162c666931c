"""How does a row of the journal become an envelope again? Without the lanes: those are the inbox's."""

from __future__ import annotations

from typing import Any

from engine.envelope import Envelope, Kind


def from_row(row: Any) -> Envelope:
    return Envelope(
        id=row["id"],
        kind=Kind(row["kind"]),
        channel=row["channel"],
        facility=row["facility"],
        peer=row["peer"],
        received_at=row["received_at"],
        control_id=row["control_id"],
        message_type=row["message_type"],
        payload=row["payload"],
        sha256=row["sha256"],
        lanes=(),
    )
