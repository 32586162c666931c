"""Which instances, studies and scheduled steps are there? The gateway's SQL: index, manifests and worklist reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time
from enum import StrEnum

from engine.store import imaging_index
from engine.store.database import Connection
from engine.store.patterns import like
from engine.store.worklist import Step


class Standing(StrEnum):
    """What a stored instance is among those already there."""

    NEW = "new"
    REPEAT = "repeat"
    """The same SOP Instance UID with the same bytes: nothing was added."""
    CONFLICT = "conflict"
    """The same SOP Instance UID with other content: added apart, never served in place of the first."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of the store.

    sha256    of the data set bytes as they were on the wire
    location  key in the object store
    tags      JSON object of identifying attributes, text repaired
    charset   JSON object: declared, used, doubtful
    """

    sop_uid: str
    facility: str
    sha256: bytes
    study_uid: str
    series_uid: str
    sop_class: str
    transfer_syntax: str
    modality: str
    number: int | None
    bytes: int
    location: str
    tags: str
    charset: str
    peer: str
    stored_at: datetime
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Study:
    """A study and the revision, a count of its stored instances, that was read."""

    uid: str
    facility: str
    channel: str
    peer: str
    revision: int


@dataclass(frozen=True, slots=True)
class StepQuery:
    """What a modality asks its worklist for. An empty text or None matches everything.

    Texts are DICOM matching patterns: `*` any run of characters, `?` exactly one (PS3.4 C.2.2.2.4).
    Dates and times are those of a clock in China.
    """

    patient_name: str = ""
    patient_id: str = ""
    accession: str = ""
    study_uids: tuple[str, ...] = ()
    modality: str = ""
    station_ae: str = ""
    procedure_code: str = ""
    from_on: date | None = None
    to_on: date | None = None
    from_at: time | None = None
    to_at: time | None = None


_COLUMN_TYPES = {
    "sop_uid": "text",
    "facility": "text",
    "sha256": "bytea",
    "study_uid": "text",
    "series_uid": "text",
    "sop_class": "text",
    "transfer_syntax": "text",
    "modality": "text",
    "number": "int",
    "bytes": "bigint",
    "location": "text",
    "tags": "jsonb",
    "charset": "jsonb",
    "peer": "text",
    "stored_at": "timestamptz",
    "conflict": "boolean",
}
_INSTANCE_COLUMNS = ", ".join(_COLUMN_TYPES)
_INSERT = (
    f"insert into instance ({_INSTANCE_COLUMNS}) select * from unnest("
    + ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(_COLUMN_TYPES.values(), 1))
    + ")"
)
_STEP_COLUMNS = ", ".join(field.name for field in fields(Step))


async def record(connection: Connection, channel: str, instances: Sequence[Instance]) -> list[Standing]:
    """Adds instances in the caller's transaction and says, in the same order, what each of them is.

    The rows of their studies are locked first and in one order, so that two gateways storing one study take turns.
    Each statement serves all of the instances.
    """
    await _lock_studies(connection, channel, instances)
    known = await _known_contents(connection, instances)
    standings: list[Standing] = []
    added: list[Instance] = []
    for instance in instances:
        contents = known.setdefault((instance.sop_uid, instance.facility), set())
        if instance.sha256 in contents:
            standings.append(Standing.REPEAT)
            continue
        standings.append(Standing.CONFLICT if contents else Standing.NEW)
        added.append(replace(instance, conflict=bool(contents)))
        contents.add(instance.sha256)
    if added:
        await connection.execute(_INSERT, *([getattr(i, name) for i in added] for name in _COLUMN_TYPES))
        await _count(connection, added)
    if searchable := [instance for instance in added if not instance.conflict]:
        await imaging_index.add(connection, searchable)
    return standings


async def _lock_studies(connection: Connection, channel: str, instances: Sequence[Instance]) -> None:
    firsts: dict[tuple[str, str], Instance] = {}
    for instance in instances:
        firsts.setdefault((instance.study_uid, instance.facility), instance)
    ordered = [firsts[key] for key in sorted(firsts)]
    await connection.execute(
        """
        insert into study (uid, facility, channel, peer, first_stored_at, last_stored_at, revision)
        select uid, facility, $1, peer, stored_at, stored_at, 0
        from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[]) with ordinality
             as one (uid, facility, peer, stored_at, place)
        order by place on conflict do nothing
        """,
        channel,
        [i.study_uid for i in ordered],
        [i.facility for i in ordered],
        [i.peer for i in ordered],
        [i.stored_at for i in ordered],
    )
    await connection.fetch(
        """
        select 1 from study where (uid, facility) in (select * from unnest($1::text[], $2::text[]))
        order by uid, facility for update
        """,
        [i.study_uid for i in ordered],
        [i.facility for i in ordered],
    )


async def _known_contents(connection: Connection, instances: Sequence[Instance]) -> dict[tuple[str, str], set[bytes]]:
    rows = await connection.fetch(
        """
        select sop_uid, facility, sha256 from instance
        where (sop_uid, facility) in (select * from unnest($1::text[], $2::text[]))
        """,
        [i.sop_uid for i in instances],
        [i.facility for i in instances],
    )
    known: dict[tuple[str, str], set[bytes]] = {}
    for row in rows:
        known.setdefault((row["sop_uid"], row["facility"]), set()).add(bytes(row["sha256"]))
    return known


async def _count(connection: Connection, added: Sequence[Instance]) -> None:
    counts: dict[tuple[str, str], tuple[int, datetime]] = {}
    for instance in added:
        key = (instance.study_uid, instance.facility)
        number, last = counts.get(key, (0, instance.stored_at))
        counts[key] = (number + 1, max(last, instance.stored_at))
    await connection.execute(
        """
        update study set revision = revision + more.number, last_stored_at = greatest(last_stored_at, more.at)
        from unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[]) as more (uid, facility, number, at)
        where study.uid = more.uid and study.facility = more.facility
        """,
        [uid for uid, _ in counts],
        [facility for _, facility in counts],
        [number for number, _ in counts.values()],
        [last for _, last in counts.values()],
    )


async def unnoticed_studies(connection: Connection, channel: str, quiet_since: datetime, limit: int) -> list[Study]:
    """Studies whose last object came at or before quiet_since and whose newest manifest is not in the journal."""
    rows = await connection.fetch(
        """
        select uid, facility, channel, peer, revision from study
        where noticed_revision < revision and channel = $1 and last_stored_at <= $2
        order by last_stored_at, uid limit $3
        """,
        channel,
        quiet_since,
        limit,
    )
    return [Study(**row) for row in rows]


async def oldest_unnoticed_at(connection: Connection, channel: str) -> datetime | None:
    """When the last object of the longest waiting study came; None when no study waits."""
    at: datetime | None = await connection.fetchval(
        "select min(last_stored_at) from study where noticed_revision < revision and channel = $1", channel
    )
    return at


async def mark_noticed(connection: Connection, study: Study) -> None:
    """Says that the manifest of this revision is in the journal; an instance stored since keeps the study waiting."""
    await connection.execute(
        "update study set noticed_revision = greatest(noticed_revision, $3) where uid = $1 and facility = $2",
        study.uid,
        study.facility,
        study.revision,
    )


async def study_instances(connection: Connection, study_uid: str, facility: str | None = None) -> list[Instance]:
    """Every stored content of a study, conflicts included, in an order that arrival does not change."""
    rows = await connection.fetch(
        f"""
        select {_INSTANCE_COLUMNS} from instance
        where study_uid = $1 and ($2::text is null or facility = $2)
        order by facility, series_uid, number nulls last, sop_uid, conflict, sha256
        """,
        study_uid,
        facility,
    )
    return [Instance(**row) for row in rows]


async def known_instances(connection: Connection, contents: Sequence[tuple[str, str, bytes]]) -> list[Instance]:
    """Those of (SOP Instance UID, facility, SHA-256) that are in the index."""
    rows = await connection.fetch(
        f"""
        select {_INSTANCE_COLUMNS} from instance
        where (sop_uid, facility, sha256) in (select * from unnest($1::text[], $2::text[], $3::bytea[]))
        """,
        [sop_uid for sop_uid, _, _ in contents],
        [facility for _, facility, _ in contents],
        [sha256 for _, _, sha256 in contents],
    )
    return [Instance(**row) for row in rows]


async def instances_named(connection: Connection, facility: str, sop_uids: Sequence[str]) -> list[Instance]:
    """Every content that a facility stored under these SOP Instance UIDs, conflicts included."""
    rows = await connection.fetch(
        f"select {_INSTANCE_COLUMNS} from instance where facility = $1 and sop_uid = any($2::text[])",
        facility,
        list(sop_uids),
    )
    return [Instance(**row) for row in rows]


async def scheduled_steps(
    connection: Connection, facility: str, calling_ae: str, query: StepQuery, limit: int
) -> list[Step]:
    """The scheduled steps of one facility that a station may perform and that match, soonest first.

    A step that some station performs, or has performed, is not offered.
    A step that names no station is for any station; one that names another than calling_ae is shown only to a query
    that asks for it.
    """
    rows = await connection.fetch(
        f"""
        select {_STEP_COLUMNS} from worklist
        where state = 'scheduled' and performing = '' and facility = $1
          and (station_ae = '' or station_ae like $2)
          and ($3 = '%' or patient_name ilike $3 or patient_name_latin ilike $3)
          and patient_id like $4 and accession like $5 and modality like $6 and procedure_code like $7
          and (cardinality($8::text[]) = 0 or study_uid = any ($8))
          and ($9::date is null or (scheduled_at at time zone interval '8 hours')::date >= $9)
          and ($10::date is null or (scheduled_at at time zone interval '8 hours')::date <= $10)
          and ($11::time is null or (scheduled_at at time zone interval '8 hours')::time >= $11)
          and ($12::time is null or (scheduled_at at time zone interval '8 hours')::time <= $12)
        order by scheduled_at, accession limit $13
        """,
        facility,
        like(query.station_ae) if query.station_ae else like(calling_ae),
        like(query.patient_name),
        like(query.patient_id),
        like(query.accession),
        like(query.modality),
        like(query.procedure_code),
        list(query.study_uids),
        query.from_on,
        query.to_on,
        query.from_at,
        query.to_at,
        limit,
    )
    return [Step(**row) for row in rows]
