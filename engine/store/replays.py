"""Which journaled messages are processed again, and how do they get back into the inbox? In their old places."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.envelope import Kind, first_id_at
from engine.store import audit, journal
from engine.store.database import Connection

_AHEAD = 16
"""Rows read ahead of the one looked at: an envelope may be megabytes."""

_CHOSEN = f"""
    j.kind = '{Kind.HL7V2}'
    and ($1::uuid is null or j.id >= $1)
    and ($2::uuid is null or j.id < $2)
    and ($3::uuid[] is null or j.id = any($3))
    and ($4::text is null or j.channel = $4)
    and ($5::text[] is null or j.message_type = any($5) or split_part(j.message_type, '^', 1) = any($5))
    and ($6::text is null or j.control_id = $6)
    and ($7::text[] is null or exists (
        select from past_lane p where p.envelope = j.id and p.key = any($7)))
    and ($8::text is null or exists (select from finding f where f.envelope = j.id and f.code = $8)
         or exists (select from finding_earlier e join finding f on f.id = e.finding
                    where e.envelope = j.id and f.code = $8))
    and exists (select from outcome o where o.envelope = j.id and o.state = any($9))
    and not exists (select from inbox i where i.envelope = j.id)
"""

_QUEUE = """
with queued as (
    insert into inbox (envelope, lanes, taken_place, place, replayed, redeliver, asked_by, asked_why, replay_run)
    values ($1::uuid, $2::text[], $3::uuid, coalesce($3::uuid, $1::uuid), true, $4, $5, $6, $7) on conflict do nothing
    returning envelope, taken_place, place
)
insert into lane (key, envelope, taken_place, place)
select distinct key, envelope, taken_place, place from queued, unnest($2::text[]) key
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which messages that ended; None leaves a question open.

    message_types  `ADT^A08`, or `ADT` for each of its events
    lanes          of a patient: those who waited in one of them
    code           of a finding, open or settled
    skipped        also those that a person skipped
    """

    since: datetime | None = None
    until: datetime | None = None
    envelopes: Sequence[UUID] | None = None
    channel: str | None = None
    message_types: Sequence[str] | None = None
    control_id: str | None = None
    lanes: Sequence[str] | None = None
    code: str | None = None
    skipped: bool = False

    @property
    def values(self) -> tuple[object, ...]:
        return (
            first_id_at(self.since) if self.since is not None else None,
            first_id_at(self.until) if self.until is not None else None,
            _listed(self.envelopes),
            self.channel,
            _listed(self.message_types),
            self.control_id,
            _listed(self.lanes),
            self.code,
            ["processed", "skipped"] if self.skipped else ["processed"],
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """A message that ended. `taken_place`: of the envelope it was corrected from."""

    id: UUID
    channel: str
    facility: str
    payload: bytes
    taken_place: UUID | None


@dataclass(frozen=True, slots=True)
class Again:
    """A message that is to be processed again, in these lanes."""

    ended: Ended
    lanes: Sequence[str]


async def count(connection: Connection, choice: Choice) -> dict[str, int]:
    """How many messages of each type."""
    rows = await connection.fetch(
        f"select j.message_type, count(*) as number from journal j where {_CHOSEN} group by 1 order by 2 desc, 1",
        *choice.values,
    )
    return {row["message_type"]: row["number"] for row in rows}


async def portion(
    connection: Connection, choice: Choice, after: UUID | None, limit: int, limit_bytes: int
) -> list[Ended]:
    """The next of them in the order they arrived, at most `limit` and hardly more than `limit_bytes`.

    In a transaction of the caller's, which reads them one after the other.
    """
    found: list[Ended] = []
    total = 0
    query = f"""
        select j.id, j.channel, j.facility, j.payload, r.place as taken_place
        from journal j left join replacement r on r.envelope = j.id
        where {_CHOSEN} and ($10::uuid is null or j.id > $10) order by j.id limit $11
    """
    async for row in connection.cursor(query, *choice.values, after, limit, prefetch=_AHEAD):
        found.append(Ended(**dict(row)))
        total += len(row["payload"])
        if total >= limit_bytes:
            break
    return found


async def queue(
    connection: Connection, again: Sequence[Again], by: str, why: str, at: datetime, *, redeliver: bool, run: UUID
) -> None:
    """Puts these into the inbox in their old places, in the caller's transaction."""
    await connection.executemany(
        _QUEUE, [(one.ended.id, list(one.lanes), one.ended.taken_place, redeliver, by, why, run) for one in again]
    )
    acts = [
        audit.Audited(by, "replay", f"Envelope/{one.ended.id}", {"reason": why, "redeliver": redeliver})
        for one in again
    ]
    await audit.write(connection, acts, at)
    await journal.tell(connection)


@dataclass(frozen=True, slots=True)
class Told:
    """What a run of replaying came to so far; every message is in exactly one of these, every resource too.

    waiting    messages that are queued still: behind a held one, or not yet run
    refused    messages that cannot be understood today
    changed    messages that changed something of the record; unchanged: those that changed nothing
    written    resources of which a new version was recorded
    left       resources that stay, because something newer says otherwise
    left_in    messages with such a resource, or with such an element of one that they changed
    same       resources that are as they were
    stays      resources that are said no more and stay on record
    """

    waiting: int
    refused: int
    changed: int
    unchanged: int
    written: int
    left: int
    left_in: int
    same: int
    stays: int


@dataclass(frozen=True, slots=True)
class Came:
    """What replaying one message came to. `replay` as engine/recording/replayed.py writes it, or `refused`: a code."""

    envelope: UUID
    message_type: str
    control_id: str
    replay: dict[str, Any]


# What a later run replayed again stands among the earlier outcomes.
_OF_RUN = """(
    select envelope, replay from outcome where replay_run = $1 and replay is not null
    union all
    select e.envelope, e.replay from outcome_earlier e
    where e.replay_run = $1 and e.replay is not null
      and not exists (select from outcome last where last.envelope = e.envelope and last.replay_run = $1)
) o"""
_CHANGED = "jsonb_array_length(coalesce(o.replay -> 'changed', '[]')) > 0"
_LEFT = "jsonb_array_length(coalesce(o.replay -> 'left', '[]')) > 0"
_STAYS = "jsonb_array_length(coalesce(o.replay -> 'stays', '[]')) > 0"


async def told(connection: Connection, run: UUID) -> Told:
    """What a run came to so far."""
    row = await connection.fetchrow(
        f"""
        select count(*) filter (where o.replay ? 'refused') as refused,
               count(*) filter (where {_CHANGED}) as changed,
               count(*) filter (where not o.replay ? 'refused' and not {_CHANGED}) as unchanged,
               coalesce(sum(jsonb_array_length(coalesce(o.replay -> 'changed', '[]'))), 0)::bigint as written,
               coalesce(sum(whole.number), 0)::bigint as left,
               count(*) filter (where {_LEFT}) as left_in,
               coalesce(sum((o.replay ->> 'same')::int), 0)::bigint as same,
               coalesce(sum(jsonb_array_length(coalesce(o.replay -> 'stays', '[]'))), 0)::bigint as stays
        from {_OF_RUN} cross join lateral (
            select count(distinct each ->> 'reference') as number
            from jsonb_array_elements(coalesce(o.replay -> 'left', '[]')) each
            where not exists (
                select from jsonb_array_elements_text(o.replay -> 'changed') label
                where split_part(label, '@', 1) = each ->> 'reference')
        ) whole
        where not exists (select from inbox i where i.envelope = o.envelope and i.replay_run = $1)
        """,
        run,
    )
    queued: int = await connection.fetchval("select count(*) from inbox where replay_run = $1", run)
    return Told(waiting=queued, **dict(row))


async def came(connection: Connection, run: UUID, after: UUID | None, limit: int, *, all_of_them: bool) -> list[Came]:
    """Message by message in the order they arrived; without `all_of_them` only where something is to be told."""
    rows = await connection.fetch(
        f"""
        select o.envelope, j.message_type, j.control_id, o.replay::text as replay
        from {_OF_RUN} join journal j on j.id = o.envelope
        where ($2::uuid is null or o.envelope > $2)
          and ($4 or o.replay ? 'refused' or {_CHANGED} or {_LEFT} or {_STAYS})
        order by o.envelope limit $3
        """,
        run,
        after,
        limit,
        all_of_them,
    )
    return [Came(r["envelope"], r["message_type"], r["control_id"], json.loads(r["replay"])) for r in rows]


async def waiting(connection: Connection) -> int:
    """How many are queued to be processed again and are not yet."""
    number: int = await connection.fetchval("select count(*) from inbox where replayed")
    return number


def _listed(values: Sequence[object] | None) -> list[object] | None:
    return list(values) if values is not None else None
