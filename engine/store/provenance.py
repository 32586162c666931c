"""Who wrote which version of a resource, and what did the envelope say? And what did mappings leave aside?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.codecs import fhir_json
from engine.envelope import Envelope, first_id_at
from engine.store.database import Connection
from engine.store.envelopes import from_row


@dataclass(frozen=True, slots=True)
class RecordedVersion:
    """One version, and the envelope that wrote it; where there is none, `actor` did (a person, or `system`).

    archived  the envelope that wrote it has been pruned from the journal: its bytes are in an export
    """

    version: int
    last_updated: datetime
    body: dict[str, Any]
    actor: str | None
    mapping: str | None
    envelope: Envelope | None
    archived: UUID | None


@dataclass(frozen=True, slots=True)
class UnmappedField:
    """A field that held something no rule took: in how many messages of a mapping, and in which one last."""

    mapping: str
    field: str
    messages: int
    last_envelope: UUID


async def versions(connection: Connection, resource_type: str, resource_id: str, limit: int) -> list[RecordedVersion]:
    """The newest versions of a resource, the current one first; empty when there is no such resource."""
    rows = await connection.fetch(
        """
        select v.version, v.last_updated, v.body, v.actor, v.mapping, v.envelope as written_by,
               j.id, j.kind, j.channel, j.facility, j.peer,
               j.received_at, j.control_id, j.message_type, j.payload, j.sha256
        from (
            select version, last_updated, body, envelope, actor, mapping from resource where type = $1 and id = $2
            union all
            (select version, last_updated, body, envelope, actor, mapping from resource_history
             where type = $1 and id = $2 order by version desc limit $3)
        ) v left join journal j on j.id = v.envelope
        order by v.version desc limit $3
        """,
        resource_type,
        resource_id,
        limit,
    )
    return [
        RecordedVersion(
            version=row["version"],
            last_updated=row["last_updated"],
            body=fhir_json.loads(row["body"]),
            actor=row["actor"],
            mapping=row["mapping"],
            envelope=from_row(row) if row["id"] is not None else None,
            archived=row["written_by"] if row["id"] is None else None,
        )
        for row in rows
    ]


async def envelope_of(connection: Connection, envelope: UUID, largest: int) -> Envelope | None:
    """An envelope with its bytes; None when there is none, or when it holds more than `largest` bytes."""
    row = await connection.fetchrow(
        """
        select id, kind, channel, facility, peer, received_at, control_id, message_type, payload, sha256
        from journal where id = $1 and length(payload) <= $2
        """,
        envelope,
        largest,
    )
    return from_row(row) if row is not None else None


async def unmapped_fields(connection: Connection, since: datetime) -> list[UnmappedField]:
    """Of the messages that came since, the most frequent first."""
    rows = await connection.fetch(
        """
        select mapping, field, count(*) as messages, max(envelope::text)::uuid as last_envelope
        from outcome, unnest(unmapped) field
        where envelope >= $1 and mapping is not null
        group by mapping, field order by messages desc, mapping, field
        """,
        first_id_at(since),
    )
    return [UnmappedField(**dict(row)) for row in rows]
