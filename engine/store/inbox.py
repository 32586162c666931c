"""Which envelope may run next, and how did it end? Order is kept per patient by the lanes."""

from __future__ import annotations

import json
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
       j.sha256, j.payload, i.lanes, length(j.acknowledgment) = 0 and not i.replayed as awaited,
       i.place, i.replayed, i.redeliver, i.replay_run, i.asked_by, i.asked_why
from inbox i join journal j on j.id = i.envelope
where i.state = 'accepted' and (i.next_attempt_at is null or i.next_attempt_at <= $2)
  and (select true from lane earlier where earlier.key = any(i.lanes) and earlier.place < i.place limit 1) is null
order by i.envelope
limit $1
for update of i skip locked
"""

# A lane that is left is kept apart: a patient's identifier leads to everything that ever came for it.
_LEAVE = """
with gone as (delete from inbox where envelope = any($1) returning envelope, place, lanes),
     kept as (insert into past_lane (key, envelope) select unnest(lanes), envelope from gone on conflict do nothing)
delete from lane l using gone where l.key = any(gone.lanes) and l.place = gone.place
"""
_LEAVE_LANES = """
with gone as (select envelope, place, lanes from inbox where envelope = any($1)),
     kept as (insert into past_lane (key, envelope) select unnest(lanes), envelope from gone on conflict do nothing)
delete from lane l using gone where l.key = any(gone.lanes) and l.place = gone.place
"""


# What it came to before stays known. What each time wrote is told by the versions, which carry its time.
_KEEP_EARLIER = """
insert into outcome_earlier (envelope, ended_at, state, mapping, resources, unmapped, actor, reason, replay_run, replay)
select envelope, coalesce(replayed_at, finished_at), state, mapping, resources, unmapped,
       case when replayed_at is null then actor else replayed_by end,
       case when replayed_at is null then reason else replayed_why end, replay_run, replay
from outcome where envelope = any($1)
"""

REPLAY_REFUSED = "replay-refused"
"""How a replay ended that could not be understood; also the code of its finding."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who had an envelope tried again after it was held, corrected it, or had it processed once more; and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """An envelope that may run now: no unfinished one of an earlier place shares a lane with it.

    attempts   how often it was tried before
    awaited    the sender waits for the answer of processing
    place      its place in its lanes: its id, or that of the envelope it was corrected from
    replayed   it was processed before
    redeliver  with `replayed`: what it owes is owed once more
    run        with `replayed`: the run of replaying that asked for it
    asked      the person who lets it run now; None where it runs in its turn. Later ones may be recorded already
    """

    envelope: Envelope
    attempts: int
    awaited: bool
    place: UUID
    replayed: bool
    redeliver: bool
    run: UUID | None
    asked: Asked | None


@dataclass(frozen=True, slots=True)
class ReplayEnd:
    """What processing a message late, or again, came to, as JSON; and which run of replaying asked for it."""

    run: UUID | None
    told: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an envelope ended.

    state      processed; or refused: the sender was told so and keeps the message
    resources  what it wrote, or found to be so already: `Patient/…@3`, the version that stood then
    replayed   it has an outcome already, which this one brings up to date; what that said before is kept
    asked      the person who let it run, where one did
    replay     what it came to, where newer ones were recorded before it
    """

    envelope: UUID
    state: str
    mapping: str | None
    resources: Sequence[str]
    unmapped: Sequence[str]
    reply: bytes | None = None
    replayed: bool = False
    asked: Asked | None = None
    replay: ReplayEnd | None = None


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
            row["place"],
            row["replayed"],
            row["redeliver"],
            row["replay_run"],
            Asked(row["asked_by"], row["asked_why"]) if row["asked_by"] is not None else None,
        )
        for row in rows
    ]


async def finish(connection: Connection, outcomes: Sequence[Outcome], at: datetime) -> None:
    """Takes finished envelopes out of the inbox and their lanes, and keeps how they ended."""
    if not outcomes:
        return
    await connection.executemany(
        """
        insert into outcome (envelope, state, finished_at, mapping, resources, unmapped, reply, actor, reason, replay)
        values ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10::jsonb)
        """,
        [
            (o.envelope, o.state, at, o.mapping, json.dumps(o.resources), list(o.unmapped), o.reply)
            + ((o.asked.by, o.asked.why) if o.asked else (None, None))
            + (o.replay.told if o.replay else None,)
            for o in outcomes
            if not o.replayed
        ],
    )
    await _finish_replayed(connection, [outcome for outcome in outcomes if outcome.replayed], at)
    await leave(connection, [outcome.envelope for outcome in outcomes])
    for outcome in outcomes:
        if outcome.reply:
            await connection.execute("select pg_notify($1, $2)", CHANNEL, str(outcome.envelope))


async def _finish_replayed(connection: Connection, outcomes: Sequence[Outcome], at: datetime) -> None:
    """What was answered, and when it first ended, stays; what the last time came to is kept beside it."""
    if not outcomes:
        return
    await connection.execute(_KEEP_EARLIER, [outcome.envelope for outcome in outcomes])
    await connection.executemany(
        """
        update outcome set state = $2, replayed_at = $3, mapping = $4, resources = to_jsonb($5::text[]), unmapped = $6,
                           replayed_by = $7, replayed_why = $8, replay_run = $9, replay = $10::jsonb
        where envelope = $1
        """,
        [
            (o.envelope, o.state, at, o.mapping, list(o.resources), list(o.unmapped))
            + ((o.asked.by, o.asked.why) if o.asked else (None, None))
            + ((o.replay.run, o.replay.told) if o.replay else (None, None))
            for o in outcomes
        ],
    )


async def refuse_replay(
    connection: Connection, envelope: UUID, end: ReplayEnd, asked: Asked | None, at: datetime
) -> None:
    """Takes a replay out of the inbox that came to nothing: how the envelope ended before stays."""
    await connection.execute(
        """
        insert into outcome_earlier (envelope, ended_at, state, actor, reason, replay_run, replay)
        values ($1, $2, $3, $4, $5, $6, $7::jsonb)
        """,
        envelope,
        at,
        REPLAY_REFUSED,
        asked.by if asked else None,
        asked.why if asked else None,
        end.run,
        end.told,
    )
    await leave(connection, [envelope])


async def leave(connection: Connection, envelopes: Sequence[UUID]) -> None:
    """Takes envelopes out of the inbox and their lanes; how they ended is for the caller to keep."""
    await connection.execute(_LEAVE, list(envelopes))


async def take_place(connection: Connection, correction: Envelope, place: UUID, by: str, why: str) -> None:
    """Queues a correction in the place that the envelope it stands for has left."""
    await connection.execute(
        "insert into inbox (envelope, lanes, taken_place, place, asked_by, asked_why) values ($1, $2, $3, $3, $4, $5)",
        correction.id,
        list(correction.lanes),
        place,
        by,
        why,
    )
    await connection.execute(
        """
        insert into lane (key, envelope, taken_place, place)
        select distinct unnest($2::text[]), $1::uuid, $3::uuid, $3::uuid
        """,
        correction.id,
        list(correction.lanes),
        place,
    )


async def hold(connection: Connection, envelope: UUID, *, keeps_lanes: bool) -> None:
    """Holds an envelope until a person releases, skips or corrects it.

    With `keeps_lanes` everything behind it in its lanes waits too; without, only it stands still.
    """
    if not keeps_lanes:
        await connection.execute(_LEAVE_LANES, [envelope])
    await connection.execute(
        """
        update inbox set state = 'held', attempts = attempts + 1, next_attempt_at = null,
                         lanes = case when $2 then lanes else '{}' end,
                         left_lanes = case when $2 then '{}' else lanes end
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
        from inbox i join lane later on later.key = any(i.lanes) and later.place > i.place
        where i.envelope = $1
        """,
        envelope,
    )
    return waiting
