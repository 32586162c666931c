"""Which studies are whole, short or late, for those who look: readers, the console, the one that watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from engine.store.database import Connection
from engine.store.imaging_query import Key
from engine.store.wholeness import State, StudyState

_STATE = "case when s.noticed_revision < s.revision then 'receiving' else coalesce(ss.state, 'receiving') end"
_TOLD = f"""
    coalesce(s.uid, ss.uid) as uid, coalesce(s.facility, ss.facility) as facility, {_STATE} as state,
    coalesce(ss.since, s.last_stored_at) as since, coalesce(ss.announced, 0) as announced,
    coalesce(ss.missing, 0) as missing, coalesce(ss.missing_uids, '{{}}') as missing_uids,
    coalesce(ss.sources, '{{}}') as sources
"""


async def of_studies(connection: Connection, uids: Sequence[str]) -> dict[tuple[str, str], StudyState]:
    """By UID and facility."""
    rows = await connection.fetch(
        f"""
        select {_TOLD} from (select * from study where uid = any($1::text[])) s
        full join (select * from study_state where uid = any($1::text[])) ss
        on ss.uid = s.uid and ss.facility = s.facility
        """,
        list(uids),
    )
    return {(row["uid"], row["facility"]): _state(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Listed:
    """A study with its state. `patient_name` and what follows are of its patient: not everybody is told them."""

    state: StudyState
    channel: str
    peer: str
    accession: str
    modalities: tuple[str, ...]
    instances: int
    last_stored_at: datetime | None
    asked_at: datetime | None
    patient_name: str
    patient_id: str


_UNSETTLED = """
    (select ss.uid, ss.facility, case when s.noticed_revision < s.revision then 'receiving' else ss.state end as state,
            ss.since
     from study_state ss left join study s on s.uid = ss.uid and s.facility = ss.facility where ss.state <> 'whole'
     union all
     select s.uid, s.facility, 'receiving', coalesce(ss.since, s.last_stored_at)
     from study s left join study_state ss on ss.uid = s.uid and ss.facility = s.facility
     where s.noticed_revision < s.revision and coalesce(ss.state, 'whole') = 'whole')
    """
"""Few of all that there are. Of a study whose first objects have not fallen quiet there is no row in study_state."""
_SETTLED = """
    (select ss.uid, ss.facility, ss.state, ss.since from study_state ss
     where ss.state = 'whole' and ($1::text is null or ss.facility = $1)
       and ($2::timestamptz is null or (ss.since, ss.uid) < ($2, $3))
       and not exists (select from study s where s.uid = ss.uid and s.facility = ss.facility
                       and s.noticed_revision < s.revision)
     order by ss.since desc, ss.uid desc limit $4)
    """
_GIVEN = f"""
    (select given.uid, given.facility, {_STATE} as state, coalesce(ss.since, s.last_stored_at) as since
     from unnest($6::text[], $7::text[]) as given (facility, uid)
     left join study_state ss on ss.uid = given.uid and ss.facility = given.facility
     left join study s on s.uid = given.uid and s.facility = given.facility
     where ss.uid is not null or s.noticed_revision < s.revision)
    """
_LISTED = f"""
    select {_TOLD}, coalesce(ss.channel, s.channel) as channel, coalesce(s.peer, '') as peer, s.last_stored_at,
           ss.asked_at, coalesce(q.accession, w.accession, '') as accession,
           coalesce(q.modalities, case when w.modality <> '' then array[w.modality] end, '{{}}') as modalities,
           coalesce(q.tags ->> 'patient_name', w.patient_name, '') as patient_name,
           coalesce(q.patient_id, w.patient_id, '') as patient_id,
           (select coalesce(sum(e.instances), 0) from series e
            where e.study_uid = k.uid and e.facility = k.facility) as instances
    from known k left join study_state ss on ss.uid = k.uid and ss.facility = k.facility
    left join study s on s.uid = k.uid and s.facility = k.facility
    left join study_search q on q.uid = k.uid and q.facility = k.facility
    left join lateral (
        select accession, modality, patient_name, patient_id from worklist w
        where w.study_uid = k.uid and w.facility = k.facility and q.uid is null limit 1
    ) w on true
    """
"""Of whom a study is of which nothing has come, its order says."""


async def listed(
    connection: Connection,
    *,
    state: State | None,
    facility: str | None,
    before: tuple[datetime, str] | None,
    limit: int,
    among: Sequence[Key] | None = None,
) -> list[Listed]:
    """Those whose state changed last come first; `before` is the last one of the page before.

    Only those of `among`, where it is given.
    """
    at, uid = before if before is not None else (None, None)
    if among is not None:
        known, given = _GIVEN, [[key.facility for key in among], [key.study_uid for key in among]]
    elif state is None:
        known, given = f"({_UNSETTLED} union all {_SETTLED})", []
    else:
        known, given = (_SETTLED if state is State.WHOLE else _UNSETTLED), []
    rows = await connection.fetch(
        f"""
        with known as materialized (
            select uid, facility from {known} k
            where ($1::text is null or facility = $1) and ($2::timestamptz is null or (since, uid) < ($2, $3))
              and ($5::text is null or state = $5)
            order by since desc, uid desc limit $4
        )
        {_LISTED} order by since desc, uid desc
        """,
        facility,
        at,
        uid,
        limit,
        state,
        *given,
    )
    return [_listed(row) for row in rows]


async def unsettled(connection: Connection) -> dict[str, int]:
    """How many studies are receiving, short or late."""
    rows = await connection.fetch(f"select state, count(*) as number from {_UNSETTLED} k group by state order by state")
    return {row["state"]: row["number"] for row in rows}


async def of_study(connection: Connection, uid: str) -> list[Listed]:
    """A study at each facility that has it or announced it."""
    rows = await connection.fetch(
        f"""
        with known as (
            select uid, facility from study_state where uid = $1
            union select uid, facility from study where uid = $1 and noticed_revision < revision
        )
        {_LISTED} order by k.facility
        """,
        uid,
    )
    return [_listed(row) for row in rows]


def _listed(row: asyncpg.Record) -> Listed:
    return Listed(
        _state(row),
        row["channel"],
        row["peer"],
        row["accession"],
        tuple(row["modalities"]),
        row["instances"],
        row["last_stored_at"],
        row["asked_at"],
        row["patient_name"],
        row["patient_id"],
    )


@dataclass(frozen=True, slots=True)
class Said:
    """One announcement of a study: how many instances it names, or the largest number that it counts."""

    source: str
    said_by: str
    said_at: datetime
    named: int
    counted: int | None
    waived: int


@dataclass(frozen=True, slots=True)
class Kept:
    """One content of a study. `conflict`: its SOP Instance UID had come with other content before."""

    sop_uid: str
    series_uid: str
    sha256: str
    bytes: int
    transfer_syntax: str
    stored_at: datetime
    conflict: bool


async def announcements_of(connection: Connection, uid: str, facility: str) -> list[Said]:
    """What was said of a study, the oldest first."""
    rows = await connection.fetch(
        """
        select source, said_by, max(said_at) as said_at, count(*) filter (where sop_uid <> '') as named,
               max(count) as counted, count(*) filter (where waived_at is not null) as waived
        from announced_instance where study_uid = $1 and facility = $2
        group by source, about, said_by order by max(said_at), source, about
        """,
        uid,
        facility,
    )
    return [Said(**row) for row in rows]


async def kept_of(connection: Connection, uid: str, facility: str) -> list[Kept]:
    """Every content of a study, by series and number."""
    rows = await connection.fetch(
        """
        select sop_uid, series_uid, encode(sha256, 'hex') as sha256, bytes, transfer_syntax, stored_at, conflict
        from instance where study_uid = $1 and facility = $2
        order by series_uid, number nulls last, sop_uid, conflict, sha256
        """,
        uid,
        facility,
    )
    return [Kept(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class ShortSeen:
    """A study that stays short."""

    uid: str
    facility: str
    since: datetime
    missing: int
    missing_uids: tuple[str, ...]


async def short_since(connection: Connection, before: datetime, limit: int) -> list[ShortSeen]:
    """Studies that have been short since that moment or longer, the longest first."""
    rows = await connection.fetch(
        """
        select uid, facility, since, missing, missing_uids from study_state
        where state = 'short' and since <= $1 order by since, uid limit $2
        """,
        before,
        limit,
    )
    return [
        ShortSeen(row["uid"], row["facility"], row["since"], row["missing"], tuple(row["missing_uids"])) for row in rows
    ]


def _state(row: asyncpg.Record) -> StudyState:
    return StudyState(
        uid=row["uid"],
        facility=row["facility"],
        state=State(row["state"]),
        since=row["since"],
        announced=row["announced"],
        missing=row["missing"],
        missing_uids=tuple(row["missing_uids"]),
        sources=tuple(row["sources"]),
    )
