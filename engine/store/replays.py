"""Which journaled messages are processed again, and how do they get back into the inbox? In their old places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
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
    and ($8::text is null or exists (select from finding f where f.envelope = j.id and f.code = $8))
    and exists (select from outcome o where o.envelope = j.id and o.state = any($9))
    and not exists (select from inbox i where i.envelope = j.id)
"""

_QUEUE = """
with queued as (
    insert into inbox (envelope, lanes, taken_place, place, replayed, redeliver, asked_by, asked_why)
    values ($1::uuid, $2::text[], $3::uuid, coalesce($3::uuid, $1::uuid), true, $4, $5, $6) on conflict do nothing
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
    connection: Connection, again: Sequence[Again], by: str, why: str, at: datetime, *, redeliver: bool
) -> None:
    """Puts these into the inbox in their old places, in the caller's transaction."""
    await connection.executemany(
        _QUEUE, [(one.ended.id, list(one.lanes), one.ended.taken_place, redeliver, by, why) for one in again]
    )
    acts = [
        audit.Audited(by, "replay", f"Envelope/{one.ended.id}", {"reason": why, "redeliver": redeliver})
        for one in again
    ]
    await audit.write(connection, acts, at)
    await journal.tell(connection)


async def waiting(connection: Connection) -> int:
    """How many are queued to be processed again and are not yet."""
    number: int = await connection.fetchval("select count(*) from inbox where replayed")
    return number


def _listed(values: Sequence[object] | None) -> list[object] | None:
    return list(values) if values is not None else None
