"""Who wrote which version of a resource, and where does its author stand in the order of envelopes?"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.codecs import fhir_json
from engine.envelope import arrived_at
from engine.store.database import Connection

_VERSIONS = """
select v.type, v.id, v.last_updated, v.body, v.envelope, v.actor, coalesce(r.place, v.envelope) as place
from (
    select t.type, t.id, t.version, t.last_updated, t.body, t.envelope, t.actor
    from resource t join unnest($1::text[], $2::text[]) w(type, id) on t.type = w.type and t.id = w.id
    union all
    select h.type, h.id, h.version, h.last_updated, h.body, h.envelope, h.actor
    from resource_history h join unnest($1::text[], $2::text[]) w(type, id) on h.type = w.type and h.id = w.id
) v left join replacement r on r.envelope = v.envelope
order by v.type, v.id, v.version
"""


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `place` is that of the envelope it came from; None where a person or hutong itself wrote it.

    actor  whoever wrote it where no envelope did
    """

    body: dict[str, Any]
    last_updated: datetime
    place: UUID | None
    envelope: UUID | None = None
    actor: str | None = None

    def newer_than(self, place: UUID) -> bool:
        """Whether its author comes after this place: by its own, or by the clock where no envelope wrote it."""
        return self.place > place if self.place is not None else self.last_updated > arrived_at(place)


async def of(connection: Connection, references: Collection[str]) -> dict[str, list[Version]]:
    """Every version of these resources, the first one first; those that do not exist are left out."""
    pairs = sorted({tuple(reference.split("/", 1)) for reference in references})
    if not pairs:
        return {}
    rows = await connection.fetch(_VERSIONS, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    found: dict[str, list[Version]] = {}
    for row in rows:
        body = fhir_json.loads(row["body"])
        version = Version(body, row["last_updated"], row["place"], row["envelope"], row["actor"])
        found.setdefault(f"{row['type']}/{row['id']}", []).append(version)
    return found


async def spoken_of(connection: Connection, envelopes: Collection[UUID]) -> dict[UUID, frozenset[str]]:
    """What these envelopes wrote or found to be so already, by reference; those that have not ended are left out."""
    if not envelopes:
        return {}
    rows = await connection.fetch(
        "select envelope, resources::text as resources from outcome where envelope = any($1)", sorted(envelopes)
    )
    return {
        row["envelope"]: frozenset(str(label).partition("@")[0] for label in json.loads(row["resources"]))
        for row in rows
    }
