"""Which envelope may run next, and how did it end? Order is kept per patient by the lanes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.envelope import Envelope, Kind
from engine.store.database import Connection

CHANNEL = "hutong_outcome"
"""Notified with the envelope's id when one ends whose channel acknowledges when processed."""

# The sub-select is evaluated row by row on purpose: written as a join, the planner reads every lane of a long backlog
# to hand out a few envelopes.
_CLAIM = """
select i.envelope, i.attempts, j.kind, j.channel, j.facility, j.peer, j.received_at, j.message_type, j.control_id,
       j.sha256, j.payload, i.lanes, length(j.acknowledgment) = 0 as awaited
from inbox i join journal j on j.id = i.envelope
where i.state = 'accepted' and (i.next_attempt_at is null or i.next_attempt_at <= $2)
  and (select true from lane earlier where earlier.key = any(i.lanes) and earlier.envelope < i.envelope limit 1) is null
order by i.envelope
limit $1
for update of i skip locked
"""

_LEAVE = """
with gone as (delete from inbox where envelope = any($1) returning envelope, lanes)
delete from lane l using gone where l.key = any(gone.lanes) and l.envelope = gone.envelope
"""
_LEAVE_LANES = """
delete from lane l using inbox i where i.envelope = any($1) and l.key = any(i.lanes) and l.envelope = i.envelope
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An envelope that may run now: no earlier unfinished one shares a lane with it.

    attempts  how often it was tried before
    awaited   the sender waits for the answer of processing
    """

    envelope: Envelope
    attempts: int
    awaited: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an envelope ended, and what was written for it (`Patient/…@3`).

    state  processed; or refused: the sender was told so and keeps the message
    """

    envelope: UUID
    state: str
    mapping: str | None
    resources: Sequence[str]
    unmapped: Sequence[str]
    reply: bytes | None = None


async def claim(connection: Connection, limit: int, at: datetime) -> list[Claimed]:
    """Locks up to `limit` runnable envelopes, oldest first, until the caller's transaction ends.

    A worker that dies gives its claim back with its connection.
    """
    rows = await connection.fetch(_CLAIM, limit, at)
    return [
        Claimed(
            Envelope(
                id=row["envelope"],
                kind=Kind(row["kind"]),
                channel=row["channel"],
                facility=row["facility"],
                peer=row["peer"],
                received_at=row["received_at"],
                control_id=row["control_id"],
                message_type=row["message_type"],
                payload=row["payload"],
                sha256=row["sha256"],
                lanes=tuple(row["lanes"]),
            ),
            row["attempts"],
            row["awaited"],
        )
        for row in rows
    ]


async def finish(connection: Connection, outcomes: Sequence[Outcome], at: datetime) -> None:
    """Takes finished envelopes out of the inbox and their lanes, and keeps how they ended."""
    if not outcomes:
        return
    await connection.executemany(
        """
        insert into outcome (envelope, state, finished_at, mapping, resources, unmapped, reply)
        values ($1, $2, $3, $4, to_jsonb($5::text[]), $6, $7)
        """,
        [(o.envelope, o.state, at, o.mapping, list(o.resources), list(o.unmapped), o.reply) for o in outcomes],
    )
    await connection.execute(_LEAVE, [outcome.envelope for outcome in outcomes])
    for outcome in outcomes:
        if outcome.reply:
            await connection.execute("select pg_notify($1, $2)", CHANNEL, str(outcome.envelope))


async def hold(connection: Connection, envelope: UUID, *, keeps_lanes: bool) -> None:
    """Holds an envelope until a person settles its findings.

    With `keeps_lanes` everything behind it in its lanes waits too; without, only it stands still.
    """
    if not keeps_lanes:
        await connection.execute(_LEAVE_LANES, [envelope])
    await connection.execute(
        """
        update inbox set state = 'held', attempts = attempts + 1, next_attempt_at = null,
                         lanes = case when $2 then lanes else '{}' end
        where envelope = $1
        """,
        envelope,
        keeps_lanes,
    )


async def postpone(connection: Connection, envelope: UUID, next_attempt_at: datetime) -> None:
    """Leaves an envelope accepted, to be tried again later; those behind it in its lanes wait."""
    await connection.execute(
        "update inbox set attempts = attempts + 1, next_attempt_at = $2 where envelope = $1", envelope, next_attempt_at
    )


async def replies_of(connection: Connection, envelopes: Collection[UUID]) -> dict[UUID, bytes]:
    """The acknowledgments of envelopes whose channel answers when processed; those not processed yet are left out."""
    rows = await connection.fetch(
        "select envelope, reply from outcome where envelope = any($1) and reply is not null", list(envelopes)
    )
    return {row["envelope"]: row["reply"] for row in rows}


async def waiting_behind(connection: Connection, envelope: UUID) -> int:
    """How many unfinished envelopes share a lane with this one and came later."""
    waiting: int = await connection.fetchval(
        """
        select count(distinct later.envelope)
        from inbox i join lane later on later.key = any(i.lanes) and later.envelope > i.envelope
        where i.envelope = $1
        """,
        envelope,
    )
    return waiting
