"""How often was an envelope processed, and what did each time come to? What was written is told by the versions.

Each version carries its envelope, its mapping and its time, and nothing changes it; so what one time wrote is not mixed
up with what another wrote, or merely found to be so already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.store.database import Connection

PROCESSED = "processed"

# `first`: before the earlier outcomes were kept, a replay overwrote what the first time came to, but not when that was.
_TIMES = """
select envelope, ended_at, state, mapping, resources::text as resources, unmapped, actor, reason, replay::text as replay
from outcome_earlier where envelope = any($1::uuid[])
union all
select o.envelope, time.ended_at,
       case when not time.first then o.state
            when exists (select from audit where subject = 'Envelope/' || o.envelope and action = 'skip') then 'skipped'
            else 'processed' end,
       case when not time.first then o.mapping end,
       case when time.first then '[]' else o.resources::text end,
       case when time.first then '{}' else o.unmapped end,
       case when time.first or o.replayed_at is null then o.actor else o.replayed_by end,
       case when time.first or o.replayed_at is null then o.reason else o.replayed_why end,
       case when not time.first then o.replay::text end
from outcome o cross join lateral (
    values (coalesce(o.replayed_at, o.finished_at), false),
           (case when o.replayed_at is not null then o.finished_at end, true)
) time (ended_at, first)
where o.envelope = any($1::uuid[]) and (not time.first or time.ended_at is not null and not exists (
    select from outcome_earlier e where e.envelope = o.envelope and e.ended_at = o.finished_at))
order by envelope, ended_at
"""

_VERSIONS = """
select envelope, type, id, version, last_updated, mapping from resource where envelope = any($1::uuid[])
union all
select envelope, type, id, version, last_updated, mapping from resource_history where envelope = any($1::uuid[])
order by envelope, last_updated, type, id, version
"""


@dataclass(frozen=True, slots=True)
class VersionOf:
    reference: str
    version: int


@dataclass(slots=True)
class Processing:
    """One time an envelope was processed.

    at         when it ended
    state      processed, refused, skipped or replaced; or replay-refused: nothing was written then
    again      it had been processed before: a replay
    mapping    None where nothing mapped it, or where it was not kept
    by         the person who let it run, or ended it; why: the reason they gave
    wrote      the versions of this time, and no other's
    confirmed  what it found to be so already, with the version that stood then
    replay     where newer ones were recorded before it, what it came to, as engine/recording/replayed.py writes it
    """

    at: datetime
    state: str
    again: bool = False
    mapping: str | None = None
    by: str | None = None
    why: str | None = None
    wrote: list[VersionOf] = field(default_factory=list)
    confirmed: list[VersionOf] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    replay: dict[str, Any] | None = None


async def of_envelopes(connection: Connection, envelopes: Sequence[UUID]) -> dict[UUID, list[Processing]]:
    """Every time each of these envelopes was processed, the first one first; those that have not ended are left out."""
    times = await connection.fetch(_TIMES, list(envelopes))
    versions = await connection.fetch(_VERSIONS, list(envelopes))
    found: dict[UUID, dict[datetime, Processing]] = {}
    spoken: dict[tuple[UUID, datetime], list[str]] = {}
    for row in times:
        found.setdefault(row["envelope"], {})[row["ended_at"]] = Processing(
            at=row["ended_at"],
            state=row["state"],
            mapping=row["mapping"],
            by=row["actor"],
            why=row["reason"],
            unmapped=row["unmapped"],
            replay=json.loads(row["replay"]) if row["replay"] else None,
        )
        spoken[row["envelope"], row["ended_at"]] = json.loads(row["resources"])
    for row in versions:
        # A replay that another one overwrote before the earlier outcomes were kept left its versions.
        at = row["last_updated"]
        processing = found.setdefault(row["envelope"], {}).setdefault(at, Processing(at, PROCESSED))
        processing.mapping = processing.mapping or row["mapping"]
        processing.wrote.append(VersionOf(f"{row['type']}/{row['id']}", row["version"]))
    for (envelope, at), labels in spoken.items():
        processing = found[envelope][at]
        processing.confirmed = list(_confirmed(processing, labels))
    return {envelope: _in_order(each.values()) for envelope, each in found.items()}


def _confirmed(processing: Processing, labels: Iterable[str]) -> Iterable[VersionOf]:
    """What was spoken of and neither written nor left as something newer says."""
    otherwise = {version.reference for version in processing.wrote}
    otherwise |= {left["reference"] for left in (processing.replay or {}).get("left", ())}
    for label in labels:
        reference, _, version = label.rpartition("@")
        if reference not in otherwise:
            yield VersionOf(reference, int(version))


def _in_order(times: Iterable[Processing]) -> list[Processing]:
    ordered = sorted(times, key=lambda each: each.at)
    for each in ordered[1:]:
        each.again = True
    return ordered
