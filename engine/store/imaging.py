"""Which instances, studies and scheduled steps are there? The gateway's SQL: index, manifests and worklist reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, time
from enum import StrEnum

from engine.store import imaging_index, restating, wholeness
from engine.store.claims import claim, claim_in_turn
from engine.store.database import Connection
from engine.store.imaging_names import name_matches
from engine.store.instances import INSTANCE_COLUMNS, insert
from engine.store.instances import Instance as Instance
from engine.store.patterns import like, literal_beginning
from engine.store.worklist import Step


class Standing(StrEnum):
    """What a stored instance is among those already there."""

    NEW = "new"
    REPEAT = "repeat"
    """The same SOP Instance UID with the same bytes: nothing was added."""
    CONFLICT = "conflict"
    """The same SOP Instance UID with other content: added apart, never served in place of the first."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study and the revision that was read: a count of its stored instances, and of what was decided of it.

    statements  how often something was said of it by people, or by a rejection note
    """

    uid: str
    facility: str
    channel: str
    peer: str
    revision: int
    statements: int = 0


@dataclass(frozen=True, slots=True)
class StepQuery:
    """What a modality asks its worklist for. An empty text or None matches everything.

    Texts are DICOM matching patterns: `*` any run of characters, `?` exactly one (PS3.4 C.2.2.2.4).
    Dates and times are those of a clock in China.

    numbers    all of them must match the one number of a step: its accession number, which the worklist gives as
               identifier of the procedure and of the step too
    physician  who is to perform it, which no order says yet: only `*` matches
    """

    patient_name: str = ""
    patient_id: str = ""
    numbers: tuple[str, ...] = ()
    study_uids: tuple[str, ...] = ()
    modality: str = ""
    station_ae: str = ""
    physician: str = ""
    procedure_code: str = ""
    from_on: date | None = None
    to_on: date | None = None
    from_at: time | None = None
    to_at: time | None = None


_INSTANCE_COLUMNS = ", ".join(INSTANCE_COLUMNS)
_STEP_COLUMNS = ", ".join(field.name for field in fields(Step))
_ALIKE_LIMIT = 2000
"""Steps whose names are compared one by one."""


async def record(connection: Connection, channel: str, instances: Sequence[Instance]) -> list[Standing]:
    """Adds instances in the caller's transaction and says, in the same order, what each of them is.

    Their UIDs and the rows of their studies are locked first and in one order: two gateways that store one study, or
    other contents under one UID, take turns. Each statement serves all of the instances. What was said of their
    studies by people takes effect on them too.
    """
    # Contents of different studies under one UID lock no row that both of them have.
    await claim_in_turn(connection, *(f"instance {i.facility} {i.sop_uid}" for i in instances))
    spoken_of = await _lock_studies(connection, channel, instances)
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
        await insert(connection, added)
        await _count(connection, added)
    if searchable := [instance for instance in added if not instance.conflict]:
        await imaging_index.add(connection, searchable)
        await wholeness.came_behind(connection, searchable)
    for facility in sorted({facility for _, facility in spoken_of}):
        said_of = {i.study_uid for i in added if i.study in spoken_of and i.facility == facility}
        if said_of:
            await restating.restate(connection, facility, said_of)
    return standings


async def _lock_studies(connection: Connection, channel: str, instances: Sequence[Instance]) -> set[tuple[str, str]]:
    """UID and facility of those of which people said something."""
    firsts: dict[tuple[str, str], Instance] = {}
    for instance in instances:
        firsts.setdefault(instance.study, instance)
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
    rows = await connection.fetch(
        """
        select uid, facility, statements from study
        where (uid, facility) in (select * from unnest($1::text[], $2::text[])) order by uid, facility for update
        """,
        [i.study_uid for i in ordered],
        [i.facility for i in ordered],
    )
    return {(row["uid"], row["facility"]) for row in rows if row["statements"]}


async def _known_contents(connection: Connection, instances: Sequence[Instance]) -> dict[tuple[str, str], set[bytes]]:
    rows = await connection.fetch(
        """
        select sop_uid, facility, sha256 from instance
        where (sop_uid, facility) in (select * from unnest($1::text[], $2::text[]))
        union all
        select sop_uid, facility, sha256 from instance_as_sent
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
        number, last = counts.get(instance.study, (0, instance.stored_at))
        counts[instance.study] = (number + 1, max(last, instance.stored_at))
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
        select uid, facility, channel, peer, revision, statements from study
        where noticed_revision < revision and channel = $1 and last_stored_at <= $2
        order by last_stored_at, uid limit $3
        """,
        channel,
        quiet_since,
        limit,
    )
    return [Study(**row) for row in rows]


async def claim_unnoticed(connection: Connection, study: Study, quiet_since: datetime) -> Study | None:
    """The study as it is now; nobody else tells of it before the caller's transaction ends.

    None where another process tells of it, or has, or where more of it has come since.
    """
    if not await claim(connection, f"manifest {study.facility} {study.uid}"):
        return None
    row = await connection.fetchrow(
        """
        select uid, facility, channel, peer, revision, statements from study
        where uid = $1 and facility = $2 and noticed_revision < revision and last_stored_at <= $3
        """,
        study.uid,
        study.facility,
        quiet_since,
    )
    return Study(**row) if row is not None else None


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
    """Every content that a facility stored under these SOP Instance UIDs, as it was sent, conflicts included."""
    rows = await connection.fetch(
        f"""
        select {_INSTANCE_COLUMNS} from instance i
        where facility = $1 and sop_uid = any($2::text[]) and not exists (
            select from instance_as_sent a
            where a.served_sop_uid = i.sop_uid and a.facility = i.facility and a.sha256 = i.sha256 and a.hidden = '')
        union all
        select {_INSTANCE_COLUMNS} from instance_as_sent where facility = $1 and sop_uid = any($2::text[])
        """,
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
    found = await _steps(connection, facility, calling_ae, query, query.patient_name, limit)
    beginning = literal_beginning(query.patient_name)[:1]
    if found or not beginning:
        return found
    # Nobody is written so. Pinyin without a gap, initials, and characters of which nothing says which are the surname:
    # those are compared as in the archive, with everybody whose name begins alike.
    alike = await _steps(connection, facility, calling_ae, query, f"{beginning}*", _ALIKE_LIMIT)
    return [step for step in alike if name_matches(query.patient_name, _name_of(step))][:limit]


def _name_of(step: Step) -> str:
    return f"{step.patient_name_latin}={step.patient_name}"


async def _steps(
    connection: Connection, facility: str, calling_ae: str, query: StepQuery, patient_name: str, limit: int
) -> list[Step]:
    """Those that match, by this pattern for the name as it is written."""
    rows = await connection.fetch(
        f"""
        select {_STEP_COLUMNS} from worklist
        where state = 'scheduled' and performing = '' and facility = $1
          and (station_ae = '' or station_ae like $2)
          and ($3 = '%' or patient_name ilike $3 or patient_name_latin ilike $3)
          and patient_id like $4 and accession like all($5::text[]) and modality like $6 and procedure_code like $7
          and (cardinality($8::text[]) = 0 or study_uid = any ($8))
          and ($9::date is null or (scheduled_at at time zone interval '8 hours')::date >= $9)
          and ($10::date is null or (scheduled_at at time zone interval '8 hours')::date <= $10)
          and ($11::time is null or (scheduled_at at time zone interval '8 hours')::time >= $11)
          and ($12::time is null or (scheduled_at at time zone interval '8 hours')::time <= $12)
          and '' like $13
        order by scheduled_at, accession limit $14
        """,
        facility,
        like(query.station_ae) if query.station_ae else like(calling_ae),
        like(patient_name),
        like(query.patient_id),
        [like(number) for number in query.numbers],
        like(query.modality),
        like(query.procedure_code),
        list(query.study_uids),
        query.from_on,
        query.to_on,
        query.from_at,
        query.to_at,
        like(query.physician),
        limit,
    )
    return [Step(**row) for row in rows]
