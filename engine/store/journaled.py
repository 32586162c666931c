"""Which messages lie in the journal, to be looked at again? Read without a lock, and nothing can be written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from engine.envelope import Envelope, Kind, first_id_at
from engine.store.database import Connection, connect
from engine.store.envelopes import from_row

_AHEAD = 32
"""Rows read ahead: an envelope may be megabytes."""

_CHOSEN = f"""
    j.kind = '{Kind.HL7V2}' and j.id >= $1 and j.id < $2
    and ($3::text is null or j.channel = $3)
    and ($4::text[] is null or j.message_type = any($4) or split_part(j.message_type, '^', 1) = any($4))
"""


@dataclass(frozen=True, slots=True)
class Looked:
    """Which messages: those received from `since` to before `until`, of a channel, of some types."""

    since: datetime
    until: datetime
    channel: str | None = None
    message_types: tuple[str, ...] | None = None

    @property
    def values(self) -> tuple[object, ...]:
        types = list(self.message_types) if self.message_types is not None else None
        return first_id_at(self.since), first_id_at(self.until), self.channel, types


@dataclass(frozen=True, slots=True)
class Span:
    """Some neighbours in the journal: from the first id to before the last, and how many they are."""

    first: UUID
    last: UUID
    messages: int


async def connect_to_look(url: str) -> asyncpg.Connection:
    """A connection whose every transaction is read-only. Raises as `connect` does."""
    connection = await connect(url)
    await connection.execute("set default_transaction_read_only = on")
    return connection


async def spans(connection: Connection, looked: Looked, size: int) -> list[Span]:
    """The messages in spans of `size`, in the order they arrived."""
    rows = await connection.fetch(
        f"""
        select min(id::text)::uuid as first, count(*) as number
        from (select j.id, (row_number() over (order by j.id) - 1) / $5 as span from journal j where {_CHOSEN}) numbered
        group by span order by 1
        """,
        *looked.values,
        size,
    )
    begins = [row["first"] for row in rows]
    ends = [*begins[1:], first_id_at(looked.until)]
    return [Span(row["first"], end, row["number"]) for row, end in zip(rows, ends, strict=False)]


async def read(connection: Connection, looked: Looked, span: Span) -> AsyncIterator[Envelope]:
    """The messages of a span, one after the other, except those that a person skipped or corrected.

    In a transaction of the caller's.
    """
    query = f"""
        select j.* from journal j
        where {_CHOSEN} and j.id >= $5 and j.id < $6 and not exists (
            select from outcome o where o.envelope = j.id and o.state in ('skipped', 'replaced'))
        order by j.id
    """
    async for row in connection.cursor(query, *looked.values, span.first, span.last, prefetch=_AHEAD):
        yield from_row(row)


@dataclass(frozen=True, slots=True)
class Ended:
    """A message that was processed. `place` in its lanes: its id, or that of the envelope it was corrected from."""

    id: UUID
    place: UUID


async def ended(connection: Connection, looked: Looked, span: Span) -> list[Ended]:
    """The messages of a span that a replay would process, in the order they arrived."""
    rows = await connection.fetch(
        f"""
        select j.id, coalesce(r.place, j.id) as place
        from journal j join outcome o on o.envelope = j.id left join replacement r on r.envelope = j.id
        where {_CHOSEN} and j.id >= $5 and j.id < $6 and o.state = 'processed'
          and not exists (select from inbox i where i.envelope = j.id)
        order by j.id
        """,
        *looked.values,
        span.first,
        span.last,
    )
    return [Ended(row["id"], row["place"]) for row in rows]


async def these(connection: Connection, envelopes: Sequence[UUID]) -> list[Envelope]:
    """These envelopes with their bytes, in the order they arrived."""
    rows = await connection.fetch("select * from journal where id = any($1) order by id", list(envelopes))
    return [from_row(row) for row in rows]
