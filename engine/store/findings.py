"""Which findings were raised? Writing them; reading and settling them is the console's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.finding import Finding
from engine.store.audit import SYSTEM
from engine.store.database import Connection


@dataclass(frozen=True, slots=True)
class Raised:
    """A finding and what it is about: an envelope, or a resource or object (`ImagingStudy/…`)."""

    finding: Finding
    envelope: UUID | None = None
    about: str | None = None
    channel: str | None = None


async def settle(connection: Connection, code: str, about: str, settlement: str, at: datetime) -> None:
    """Settles, in the caller's transaction, what was open and has come right by itself."""
    await connection.execute(
        """
        update finding set settled_at = $4, settled_by = $5, settlement = $3
        where about = $2 and code = $1 and settled_at is null
        """,
        code,
        about,
        settlement,
        at,
        SYSTEM,
    )


async def raise_many(connection: Connection, raised: Sequence[Raised], at: datetime) -> None:
    """Adds findings in the caller's transaction."""
    if not raised:
        return
    await connection.executemany(
        """
        insert into finding (id, code, severity, location, rule, text, channel, envelope, about, found_at)
        values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        [
            (
                r.finding.code,
                str(r.finding.severity),
                r.finding.location,
                r.finding.rule,
                r.finding.text,
                r.channel,
                r.envelope,
                r.about,
                at,
            )
            for r in raised
        ],
    )
