"""How does an accepted envelope become durable? One statement per batch: journal, repeat guard, inbox and lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from engine.envelope import Envelope
from engine.store.database import Connection

CHANNEL = "hutong_inbox"
"""The notification sent, at commit, when envelopes arrived."""

# Payloads stand in one part of the statement only: every other part that read them would copy them.
_APPEND = """
with arrived as (
    select * from unnest($1::uuid[], $3::text[], $6::timestamptz[], $8::text[], $12::bytea[], $13::bytea[], $14::text[])
      a(id, channel, received_at, control_id, control_key, content_key, lanes)
), fresh as (
    insert into repeat_guard (control_key, content_key, envelope)
    select control_key, content_key, id from arrived
    on conflict (control_key, content_key) do update set envelope = excluded.envelope
        where exists (select from outcome o where o.envelope = repeat_guard.envelope and o.state = 'refused')
    returning envelope
), kept as (
    insert into journal (id, kind, channel, facility, peer, received_at, message_type, control_id, sha256, payload,
                         acknowledgment)
    select a.* from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
                           $8::text[], $9::bytea[], $10::bytea[], $11::bytea[])
      a(id, kind, channel, facility, peer, received_at, message_type, control_id, sha256, payload, acknowledgment)
    where a.id in (select envelope from fresh)
), queued as (
    insert into inbox (envelope, lanes)
    select id, string_to_array(lanes, E'\\x1f') from arrived where id in (select envelope from fresh)
), ordered as (
    insert into lane (key, envelope)
    select unnest(string_to_array(lanes, E'\\x1f')), id from arrived where id in (select envelope from fresh)
    on conflict do nothing
), reused as (
    insert into finding (id, code, severity, location, text, channel, envelope, found_at)
    select gen_random_uuid(), 'control-id-reused', 'information', 'MSH-10',
           'The control id came before with other content; this message is processed as a new one.',
           a.channel, a.id, a.received_at
    from arrived a
    where a.control_id <> '' and a.id in (select envelope from fresh)
      and (a.id = any($15::uuid[])
           or (select true from repeat_guard g
               where g.control_key = a.control_key and g.content_key <> a.content_key limit 1))
), told as (
    select pg_notify('hutong_inbox', '')
)
select envelope from fresh, told
"""

_LANE_SEPARATOR = "\x1f"
"""Lists of different lengths cannot be unnested side by side, so the lanes of an envelope travel as one text."""

_REPEATED = """
select asked.id, g.envelope, j.acknowledgment, o.reply
from unnest($1::uuid[], $2::bytea[], $3::bytea[]) asked(id, control_key, content_key)
join repeat_guard g on g.control_key = asked.control_key and g.content_key = asked.content_key
join journal j on j.id = g.envelope
left join outcome o on o.envelope = g.envelope
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

    On return the commit has been flushed. A repeat of a positively acknowledged message is not journaled again; a
    message that was refused before is a new one.
    """
    first: dict[tuple[bytes, bytes], Entry] = {}
    twins: list[tuple[Entry, Entry]] = []
    for entry in entries:
        earlier = first.setdefault((entry.control_key, entry.content_key), entry)
        if earlier is not entry:
            twins.append((entry, earlier))
    repeated = await _append_distinct(connection, list(first.values()))
    for twin, earlier in twins:
        repeated[twin.envelope.id] = repeated.get(
            earlier.envelope.id, Repeated(earlier.envelope.id, earlier.acknowledgment)
        )
    return repeated


async def _append_distinct(connection: Connection, entries: Sequence[Entry]) -> dict[UUID, Repeated]:
    seen: set[bytes] = set()
    reused: list[UUID] = []
    for entry in entries:
        if entry.control_key in seen:
            reused.append(entry.envelope.id)
        seen.add(entry.control_key)
    envelopes = [entry.envelope for entry in entries]
    rows = await connection.fetch(
        _APPEND,
        [e.id for e in envelopes],
        [e.kind for e in envelopes],
        [e.channel for e in envelopes],
        [e.facility for e in envelopes],
        [e.peer for e in envelopes],
        [e.received_at for e in envelopes],
        [e.message_type for e in envelopes],
        [e.control_id for e in envelopes],
        [e.sha256 for e in envelopes],
        [e.payload for e in envelopes],
        [entry.acknowledgment for entry in entries],
        [entry.control_key for entry in entries],
        [entry.content_key for entry in entries],
        [_LANE_SEPARATOR.join(e.lanes) for e in envelopes],
        reused,
    )
    if len(rows) == len(entries):
        return {}
    fresh = {row["envelope"] for row in rows}
    repeats = [entry for entry in entries if entry.envelope.id not in fresh]
    found = await connection.fetch(
        _REPEATED,
        [entry.envelope.id for entry in repeats],
        [entry.control_key for entry in repeats],
        [entry.content_key for entry in repeats],
    )
    return {row["id"]: Repeated(row["envelope"], row["reply"] or row["acknowledgment"]) for row in found}
