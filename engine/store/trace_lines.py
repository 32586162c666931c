"""What is told of the resources, worklist steps and studies that a word led to? A line of each, without content."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.store import study_states
from engine.store.database import Connection
from engine.store.wholeness import StudyState


@dataclass(frozen=True, slots=True)
class ResourceLine:
    """A current resource, without its content."""

    reference: str
    type: str
    id: str
    version: int
    last_updated: datetime
    status: str | None
    envelope: UUID | None
    actor: str | None
    mapping: str | None


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One version of a resource, and who wrote it: an envelope by a mapping, or `actor`. `current`: the newest."""

    reference: str
    version: int
    last_updated: datetime
    envelope: UUID | None
    actor: str | None
    mapping: str | None
    current: bool


@dataclass(frozen=True, slots=True)
class WorklistLine:
    """A scheduled procedure step, without the patient."""

    service_request: str
    facility: str
    accession: str
    study_uid: str
    modality: str
    procedure_text: str
    station_ae: str
    scheduled_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class StudyLine:
    """What is stored of a study at one facility. `conflicts` counts objects whose UID came with other content.

    state         receiving, whole, short or late (`engine.store.wholeness`)
    missing_uids  the first of the missing instances that are known by name
    """

    uid: str
    facility: str
    channel: str
    peer: str
    first_stored_at: datetime
    last_stored_at: datetime
    series: int
    instances: int
    bytes: int
    conflicts: int
    noticed: bool
    state: str
    missing: int
    missing_uids: list[str]


async def version(connection: Connection, reference: str, number: int) -> VersionLine | None:
    """One version of a resource; None where there is none."""
    resource_type, _, resource_id = reference.partition("/")
    row = await connection.fetchrow(
        """
        select last_updated, envelope, actor, mapping, true as current from resource
        where type = $1 and id = $2 and version = $3
        union all
        select last_updated, envelope, actor, mapping, false from resource_history
        where type = $1 and id = $2 and version = $3
        """,
        resource_type,
        resource_id,
        number,
    )
    return VersionLine(reference, number, **dict(row)) if row is not None else None


async def resources(connection: Connection, references: Sequence[str], limit: int) -> list[ResourceLine]:
    """These resources as they are now, the last updated first."""
    if not references:
        return []
    pairs = [reference.partition("/") for reference in references]
    rows = await connection.fetch(
        """
        select r.type || '/' || r.id as reference, r.type, r.id, r.version, r.last_updated,
               r.body ->> 'status' as status, r.envelope, r.actor, r.mapping
        from resource r join unnest($1::text[], $2::text[]) k(type, id) on r.type = k.type and r.id = k.id
        order by r.last_updated desc, r.type, r.id limit $3
        """,
        [pair[0] for pair in pairs],
        [pair[2] for pair in pairs],
        limit,
    )
    return [ResourceLine(**dict(row)) for row in rows]


_WORKLIST_COLUMNS = (
    "service_request, facility, accession, study_uid, modality, procedure_text, station_ae, scheduled_at, state"
)


async def steps_named(connection: Connection, word: str, facilities: Sequence[str]) -> list[WorklistLine]:
    """By an accession number of one of these facilities, or a Study Instance UID."""
    rows = await connection.fetch(
        f"""
        select {_WORKLIST_COLUMNS} from worklist
        where (facility = any($2) and accession = $1) or study_uid = $1 order by scheduled_at
        """,
        word,
        list(facilities),
    )
    return [WorklistLine(**dict(row)) for row in rows]


async def steps_of(connection: Connection, orders: Sequence[str]) -> list[WorklistLine]:
    """Of these orders (`ServiceRequest/…`)."""
    if not orders:
        return []
    rows = await connection.fetch(
        f"select {_WORKLIST_COLUMNS} from worklist where service_request = any($1) order by scheduled_at",
        [order.removeprefix("ServiceRequest/") for order in orders],
    )
    return [WorklistLine(**dict(row)) for row in rows]


async def studies(connection: Connection, uids: Collection[str]) -> list[StudyLine]:
    """By Study Instance UID, at every facility that stored something of it."""
    rows: Sequence[Any] = await connection.fetch(
        """
        select s.uid, s.facility, s.channel, s.peer, s.first_stored_at, s.last_stored_at,
               count(distinct i.series_uid) as series, count(i.sop_uid) as instances,
               coalesce(sum(i.bytes), 0)::bigint as bytes, count(*) filter (where i.conflict) as conflicts,
               s.noticed_revision = s.revision as noticed
        from study s left join instance i on i.study_uid = s.uid and i.facility = s.facility
        where s.uid = any($1) group by s.uid, s.facility order by s.first_stored_at
        """,
        sorted(uids),
    )
    states = await study_states.of_studies(connection, sorted(uids))
    return [StudyLine(**dict(row), **_stands(states[row["uid"], row["facility"]])) for row in rows]


def _stands(state: StudyState) -> dict[str, Any]:
    return {"state": state.state.value, "missing": state.missing, "missing_uids": list(state.missing_uids)}
