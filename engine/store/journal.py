"""How does an accepted envelope become durable? One transaction per batch: journal, repeat guard, inbox and lanes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from engine.envelope import Envelope
from engine.store.database import Connection

CHANNEL = "hutong_inbox"
"""The notification that envelopes arrived."""

# One message a statement, a batch of statements a transaction: scalars cost half of what arrays of one element would,
# and the statements of a batch travel together.
_APPEND = """
with fresh as (
    insert into repeat_guard (control_key, content_key, envelope) values ($12, $13, $1)
    on conflict do nothing
    returning envelope
), kept as (
    insert into journal (id, kind, channel, facility, peer, received_at, message_type, control_id, sha256, payload,
                         acknowledgment)
    select envelope, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from fresh
), queued as (
    insert into inbox (envelope, place, lanes) select envelope, envelope, $14::text[] from fresh
), ordered as (
    insert into lane (key, envelope, place) select unnest($14::text[]), envelope, envelope from fresh
    on conflict do nothing
)
select envelope from fresh
"""

_KEEP = """
with fresh as (
    insert into repeat_guard (control_key, content_key, envelope) values ($12, $13, $1)
    on conflict do nothing
    returning envelope
)
insert into journal (id, kind, channel, facility, peer, received_at, message_type, control_id, sha256, payload,
                     acknowledgment)
select envelope, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 from fresh returning id
"""

_REPEATED = """
select asked.id, g.envelope, j.acknowledgment, o.reply
from unnest($1::uuid[], $2::bytea[], $3::bytea[]) asked(id, control_key, content_key)
join repeat_guard g on g.control_key = asked.control_key and g.content_key = asked.content_key
join journal j on j.id = g.envelope
left join outcome o on o.envelope = g.envelope
"""

# A key without its envelope, as a part that somebody dropped by hand leaves behind, must acknowledge nothing.
_LEFT_ALONE = """
delete from repeat_guard g where g.control_key = $1 and g.content_key = $2
  and not exists (select from journal j where j.id = g.envelope)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An envelope on its way into the journal, with the acknowledgment that may leave once it is there.

    control_key    digest of channel, MSH-3, MSH-4 and MSH-10
    content_key    digest of the payload without MSH-7 and MSH-13
    """

    envelope: Envelope
    acknowledgment: bytes
    control_key: bytes
    content_key: bytes


@dataclass(frozen=True, slots=True)
class Repeated:
    """The positively acknowledged envelope that an entry repeats; `acknowledgment` is empty until it is processed."""

    envelope: UUID
    acknowledgment: bytes


async def append(connection: Connection, entries: Sequence[Entry]) -> dict[UUID, Repeated]:
    """Makes the entries durable in one transaction and returns those that were repeats, by their own id.

    On return the commit has been flushed. A repeat is not journaled again; equal messages of one batch are repeats of
    the first.
    """
    repeated: dict[UUID, Repeated] = {}
    while True:
        rows = await connection.fetchmany(_APPEND, [_values(entry) for entry in entries])
        if len(rows) == len(entries):
            return repeated
        fresh = {row["envelope"] for row in rows}
        repeats = [entry for entry in entries if entry.envelope.id not in fresh]
        repeated |= await repeats_among(connection, repeats)
        # What it repeated was forgotten or pruned between the two statements: then it is new, and not yet kept.
        entries = [entry for entry in repeats if entry.envelope.id not in repeated]
        if not entries:
            return repeated
        await connection.executemany(_LEFT_ALONE, [(entry.control_key, entry.content_key) for entry in entries])


async def repeats_among(connection: Connection, entries: Sequence[Entry]) -> dict[UUID, Repeated]:
    """Those of these entries that came before, by their own id; nothing is written."""
    found = await connection.fetch(
        _REPEATED,
        [entry.envelope.id for entry in entries],
        [entry.control_key for entry in entries],
        [entry.content_key for entry in entries],
    )
    return {row["id"]: Repeated(row["envelope"], row["reply"] or row["acknowledgment"]) for row in found}


def _values(entry: Entry) -> tuple[object, ...]:
    envelope = entry.envelope
    return (
        envelope.id,
        envelope.kind,
        envelope.channel,
        envelope.facility,
        envelope.peer,
        envelope.received_at,
        envelope.message_type,
        envelope.control_id,
        envelope.sha256,
        envelope.payload,
        entry.acknowledgment,
        entry.control_key,
        entry.content_key,
        envelope.lanes,
    )


async def reused(connection: Connection, keys: Mapping[UUID, bytes]) -> set[UUID]:
    """Those of these envelopes, with their control keys, whose control id came earlier with other content."""
    rows = await connection.fetch(
        """
        select asked.envelope from unnest($1::uuid[], $2::bytea[]) asked(envelope, control_key)
        where (select true from repeat_guard g
               where g.control_key = asked.control_key and g.envelope < asked.envelope limit 1)
        """,
        list(keys),
        list(keys.values()),
    )
    return {row["envelope"] for row in rows}


async def forget(connection: Connection, control_key: bytes, content_key: bytes) -> None:
    """Takes a message that was refused out of the repeat guard: when it comes again it is a new one."""
    await connection.execute(
        "delete from repeat_guard where control_key = $1 and content_key = $2", control_key, content_key
    )


async def keep_correction(connection: Connection, entry: Entry) -> UUID | None:
    """Adds, in the caller's transaction, an envelope that is not queued here; or returns the one it repeats."""
    *kept, _ = _values(entry)
    if await connection.fetchval(_KEEP, *kept) is not None:
        return None
    repeated: UUID = await connection.fetchval(
        "select envelope from repeat_guard where control_key = $1 and content_key = $2",
        entry.control_key,
        entry.content_key,
    )
    return repeated


async def tell(connection: Connection) -> None:
    """Wakes the workers that listen."""
    await connection.execute("select pg_notify($1, '')", CHANNEL)
