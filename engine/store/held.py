"""Which envelopes are held, and what does a person do about them? Release, skip, or a correction in their place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.errors import NotFoundError, RequestStateError
from engine.store import audit, inbox, journal
from engine.store.database import Connection
from engine.store.journal import Entry

_MOST_WAITING = 10_000
"""Counted no further: a lane that everybody shares can hold a day's messages."""

_CHOSEN = """
    i.state = 'held'
    and ($1::uuid[] is null or i.envelope = any($1))
    and ($2::text is null or j.channel = $2)
    and ($3::text[] is null or j.message_type = any($3))
    and (($4::text is null and $5::text is null) or exists (
        select from finding f
        where f.envelope = i.envelope and f.severity = 'error' and f.settled_at is null
          and ($4 is null or f.code = $4) and ($5 is null or f.rule = $5)))
"""

_RELEASE = f"""
with chosen as (
    select i.envelope from inbox i join journal j on j.id = i.envelope
    where {_CHOSEN} order by i.envelope for update of i
), freed as (
    update inbox i
    set state = 'accepted', attempts = 0, next_attempt_at = null, asked_by = $6, asked_why = $7, left_lanes = '{{}}',
        lanes = case when i.left_lanes = '{{}}' then i.lanes else i.left_lanes end
    from chosen c where i.envelope = c.envelope
    returning i.envelope, i.lanes, i.taken_place
), waiting_again as (
    insert into lane (key, envelope, taken_place, place)
    select distinct key, envelope, taken_place, coalesce(taken_place, envelope) from freed, unnest(lanes) key
    on conflict do nothing
)
insert into audit (at, actor, action, subject, detail)
select $8, $6, 'release', 'Envelope/' || envelope, jsonb_build_object('reason', $7::text) from freed
"""

_SETTLE = """
update finding set settled_at = $2, settled_by = $3, settlement = $4
where envelope = any($1) and settled_at is null and severity = 'error'
"""

_LISTED = f"""
select i.envelope as id, j.channel, j.facility, j.message_type, j.control_id, j.received_at, i.attempts,
       r.replaces, i.lanes <> '{{}}' as keeps_lanes,
       (select count(*) from (
            select distinct later.envelope from lane later
            where later.key = any(i.lanes) and later.place > i.place limit {_MOST_WAITING}) waiting) as waiting_behind,
       (select coalesce(json_agg(json_build_object('code', f.code, 'text', f.text, 'location', f.location,
                                                   'rule', f.rule) order by f.found_at, f.id), '[]')
        from finding f
        where f.envelope = i.envelope and f.severity = 'error' and f.settled_at is null) as reasons
from inbox i join journal j on j.id = i.envelope left join replacement r on r.envelope = i.envelope
where {_CHOSEN} and ($6::uuid is null or i.envelope > $6)
order by i.envelope limit $7
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the held envelopes; None leaves a question open.

    code, rule     of an open finding that holds it
    message_types  those that a mapping takes
    """

    envelopes: Sequence[UUID] | None = None
    channel: str | None = None
    code: str | None = None
    rule: str | None = None
    message_types: Sequence[str] | None = None

    @property
    def values(self) -> tuple[object, ...]:
        envelopes = list(self.envelopes) if self.envelopes is not None else None
        types = list(self.message_types) if self.message_types is not None else None
        return envelopes, self.channel, types, self.code, self.rule


@dataclass(frozen=True, slots=True)
class Reason:
    """An open finding that holds an envelope."""

    code: str
    text: str
    location: str | None
    rule: str | None


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A held envelope, without a value of it.

    replaces        the envelope that it was corrected from
    keeps_lanes     later ones of its patients wait for it
    waiting_behind  how many, counted up to ten thousand
    """

    id: UUID
    channel: str
    facility: str
    message_type: str
    control_id: str
    received_at: datetime
    attempts: int
    replaces: UUID | None
    keeps_lanes: bool
    waiting_behind: int
    reasons: list[Reason]


@dataclass(frozen=True, slots=True)
class Held:
    """A held envelope, locked until the caller's transaction ends."""

    id: UUID
    kind: str
    channel: str
    facility: str
    received_at: datetime
    place: UUID


async def listed(connection: Connection, choice: Choice, after: UUID | None, limit: int) -> list[HeldLine]:
    """Held envelopes in the order they arrived; `after` is the last one of the page before."""
    rows = await connection.fetch(_LISTED, *choice.values, after, limit)
    return [_line(row) for row in rows]


async def count(connection: Connection, choice: Choice) -> dict[str, int]:
    """How many of these are held by an open finding of each code; the empty code: by none that is still open."""
    rows = await connection.fetch(
        f"""
        select coalesce(h.code, '') as code, count(*) as number
        from inbox i join journal j on j.id = i.envelope
        left join lateral (
            select f.code from finding f
            where f.envelope = i.envelope and f.severity = 'error' and f.settled_at is null
            order by f.found_at, f.id limit 1) h on true
        where {_CHOSEN} group by 1 order by 2 desc, 1
        """,
        *choice.values,
    )
    return {row["code"]: row["number"] for row in rows}


async def release(connection: Connection, choice: Choice, by: str, why: str, at: datetime) -> int:
    """Lets these run again, in their places: all of them or, when the transaction fails, none. Returns how many.

    What holds them is settled when they pass, and not before.
    """
    status = await connection.execute(_RELEASE, *choice.values, by, why, at)
    await journal.tell(connection)
    return int(status.rsplit(" ", 1)[1])


async def skip(connection: Connection, choice: Choice, by: str, why: str, at: datetime) -> int:
    """Ends these without a record; what waits behind them goes on. Returns how many."""
    rows = await connection.fetch(
        f"""
        select i.envelope from inbox i join journal j on j.id = i.envelope
        where {_CHOSEN} order by i.envelope for update of i
        """,
        *choice.values,
    )
    envelopes = [row["envelope"] for row in rows]
    await _end(connection, envelopes, "skipped", f"Skipped: {why}", by, why, at)
    acts = [audit.Audited(by, "skip", f"Envelope/{envelope}", {"reason": why}) for envelope in envelopes]
    await audit.write(connection, acts, at)
    return len(envelopes)


async def lock(connection: Connection, envelope: UUID) -> Held:
    """Raises NotFoundError, or RequestStateError `not-held` when it is processed or waits for its turn."""
    row = await connection.fetchrow(
        """
        select j.id, j.kind, j.channel, j.facility, j.received_at, i.place
        from inbox i join journal j on j.id = i.envelope where i.envelope = $1 and i.state = 'held' for update of i
        """,
        envelope,
    )
    if row is not None:
        return Held(**dict(row))
    if await connection.fetchval("select true from journal where id = $1", envelope):
        raise RequestStateError("this envelope is not held", code="not-held")
    raise NotFoundError("there is no such envelope")


async def replace(connection: Connection, held: Held, entry: Entry, by: str, why: str, at: datetime) -> None:
    """Puts a correction in the place of a held envelope, which stays in the journal as it came.

    Raises RequestStateError `nothing-changed`, or `repeats-another` where this content was accepted before: effects
    happen once.
    """
    correction = entry.envelope
    before = await journal.keep_correction(connection, entry)
    if before is not None:
        if before == held.id:
            raise RequestStateError("the correction says what the message said already", code="nothing-changed")
        raise RequestStateError(
            f"a message with this content was accepted before, as envelope {before}: skip the held one instead",
            code="repeats-another",
        )
    await _end(connection, [held.id], "replaced", f"Replaced by {correction.id}: {why}", by, why, at)
    await inbox.take_place(connection, correction, held.place, by, why)
    await connection.execute(
        """
        insert into replacement (envelope, replaces, place, replaced_at, actor, reason)
        values ($1, $2, $3, $4, $5, $6)
        """,
        correction.id,
        held.id,
        held.place,
        at,
        by,
        why,
    )
    detail = {"reason": why, "correction": str(correction.id)}
    await audit.write(connection, [audit.Audited(by, "replace", f"Envelope/{held.id}", detail)], at)


async def _end(
    connection: Connection, envelopes: Sequence[UUID], state: str, settlement: str, by: str, why: str, at: datetime
) -> None:
    await inbox.leave(connection, envelopes)
    await connection.execute(
        "insert into outcome (envelope, state, finished_at, actor, reason) select unnest($1::uuid[]), $2, $3, $4, $5",
        list(envelopes),
        state,
        at,
        by,
        why,
    )
    await connection.execute(_SETTLE, list(envelopes), at, by, settlement)
    await journal.tell(connection)


def _line(row: Any) -> HeldLine:
    return HeldLine(**dict(row) | {"reasons": [Reason(**reason) for reason in json.loads(row["reasons"])]})
