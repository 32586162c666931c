"""How far did these envelopes walk? The journal's row, the inbox or the outcome, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.store.database import Connection

_LISTED_BLOCKERS = 10
_MOST_BEHIND = 10_000
"""Those behind a held envelope are counted up to here, in each of its lanes."""

_WALKS = f"""
select j.id, j.kind, j.channel, j.facility, j.peer, j.received_at, j.message_type, j.control_id,
       encode(j.sha256, 'hex') as sha256, length(j.payload) as payload_bytes,
       coalesce(o.reply, nullif(j.acknowledgment, ''::bytea)) as acknowledgment,
       coalesce(i.state, o.state, 'accepted') as state,
       coalesce(i.asked_by, o.replayed_by, o.actor) as asked_by,
       case when i.asked_by is not null then i.asked_why when o.replayed_by is not null then o.replayed_why
            else o.reason end as asked_why,
       r.replaces,
       (select newer.envelope from replacement newer where newer.replaces = j.id) as replaced_by,
       coalesce(i.attempts, 0) as attempts, i.next_attempt_at,
       o.finished_at, o.mapping, coalesce(o.unmapped, '{{}}') as unmapped,
       array(select distinct earlier.envelope
             from lane earlier where earlier.key = any(i.lanes) and earlier.place < i.place
             order by 1 limit {_LISTED_BLOCKERS}) as waits_for,
       (select count(distinct later.envelope) from unnest(i.lanes) own(key) cross join lateral (
            select envelope from lane where key = own.key and place > i.place limit {_MOST_BEHIND}
        ) later) as waiting_behind
from journal j left join inbox i on i.envelope = j.id left join outcome o on o.envelope = j.id
     left join replacement r on r.envelope = j.id
where j.id = any($1::uuid[]) order by j.id
"""


@dataclass(frozen=True, slots=True)
class WalkRow:
    """One envelope and where it stands.

    state           accepted, held, processed, refused, skipped or replaced; accepted again while it is replayed
    acknowledgment  None while the channel waits for processing to answer
    attempts        how often processing was tried without ending
    finished_at     when it ended first
    mapping         that of the last time it was processed; unmapped: fields that held something no rule of it took
    asked_by        who released, skipped, corrected or replayed it, where a person did; asked_why: what they said
    replaces        the envelope that this one is a correction of; replaced_by: the correction of this one
    waits_for       earlier unfinished envelopes that share a lane, the first few
    waiting_behind  how many later ones wait for it
    """

    id: UUID
    kind: str
    channel: str
    facility: str
    peer: str
    received_at: datetime
    message_type: str
    control_id: str
    sha256: str
    payload_bytes: int
    acknowledgment: bytes | None
    state: str
    attempts: int
    next_attempt_at: datetime | None
    finished_at: datetime | None
    mapping: str | None
    unmapped: list[str]
    asked_by: str | None
    asked_why: str | None
    replaces: UUID | None
    replaced_by: UUID | None
    waits_for: list[UUID]
    waiting_behind: int


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """The exact bytes of an envelope, and what is needed to read them."""

    id: UUID
    kind: str
    channel: str
    payload: bytes


async def of_envelopes(connection: Connection, envelopes: Sequence[UUID]) -> list[WalkRow]:
    """Those that are in the journal, in the order they arrived."""
    return [WalkRow(**dict(row)) for row in await connection.fetch(_WALKS, list(envelopes))]


async def payloads(connection: Connection, envelopes: Sequence[UUID], largest: int) -> dict[UUID, StoredPayload]:
    """The payloads of these envelopes that are not larger than `largest` bytes."""
    rows = await connection.fetch(
        "select id, kind, channel, payload from journal where id = any($1::uuid[]) and length(payload) <= $2",
        list(envelopes),
        largest,
    )
    return {row["id"]: StoredPayload(**dict(row)) for row in rows}
