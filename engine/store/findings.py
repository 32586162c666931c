"""Which findings were raised? Writing them; reading and settling them is the console's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from uuid import UUID, uuid4, uuid5

from engine.finding import Finding
from engine.store.audit import SYSTEM
from engine.store.database import Connection

_TOLD_ONCE = UUID("6f0f6c5e-3c35-4c0b-9a86-5d2f3c1f7a10")
"""What is told once has an id made of what it says, so that no two transactions can tell it twice."""


@dataclass(frozen=True, slots=True)
class Raised:
    """A finding and what it is about: an envelope, or a resource or object (`ImagingStudy/…`).

    One that is told once is also about what it is told once of; the envelope is the first in which it was met.
    """

    finding: Finding
    envelope: UUID | None = None
    about: str | None = None
    channel: str | None = None

    @property
    def id(self) -> UUID:
        if self.finding.once:
            return uuid5(_TOLD_ONCE, f"{self.finding.code} {self.about}")
        return uuid4()


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
    """Adds findings in the caller's transaction. One that is told once and was told before, settled or not, is left."""
    if not raised:
        return
    await connection.executemany(
        """
        insert into finding (id, code, severity, location, rule, text, channel, envelope, about, found_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict (id) do nothing
        """,
        [
            (
                number,
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
            for number, r in sorted(((r.id, r) for r in raised), key=itemgetter(0))  # all workers in one order
        ],
    )


async def not_told_before(connection: Connection, raised: Sequence[Raised], again: Collection[UUID]) -> list[Raised]:
    """Without what was found before in the envelopes of `again`, which are processed once more.

    What a person settled stays settled; an error that holds is told again, because somebody has to act on it.
    """
    if not again:
        return list(raised)
    rows = await connection.fetch(
        """
        select envelope, code, location, rule, about from finding
        where envelope = any($1) and (settled_at is null or severity <> 'error')
        """,
        sorted(again),
    )
    told = {tuple(row) for row in rows}
    return [r for r in raised if (r.envelope, r.finding.code, r.finding.location, r.finding.rule, r.about) not in told]


async def settle_gone(
    connection: Connection, envelope: UUID, still: Sequence[Finding], by: str, settlement: str, at: datetime
) -> None:
    """Settles what was found in an envelope itself and is found no more now that it was processed again."""
    await connection.execute(
        """
        update finding f set settled_at = $5, settled_by = $6, settlement = $7
        where f.envelope = $1 and f.about is null and f.settled_at is null and not exists (
            select from unnest($2::text[], $3::text[], $4::text[]) s(code, location, rule)
            where f.code = s.code and f.location is not distinct from s.location and f.rule is not distinct from s.rule)
        """,
        envelope,
        [finding.code for finding in still],
        [finding.location for finding in still],
        [finding.rule for finding in still],
        at,
        by,
        settlement,
    )


async def about(connection: Connection, envelope: UUID, codes: Collection[str]) -> list[str]:
    """What open findings of these codes, raised for an envelope, are about."""
    rows = await connection.fetch(
        """
        select distinct about from finding
        where envelope = $1 and code = any($2) and about is not null and settled_at is null
        """,
        envelope,
        list(codes),
    )
    return [row["about"] for row in rows]
