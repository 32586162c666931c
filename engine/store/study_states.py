"""Which studies are whole, short or late, for those who look: readers, the console, the one that watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from engine.store.database import Connection
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
    """A study with its state, without its patient."""

    state: StudyState
    channel: str
    peer: str
    accession: str
    modalities: tuple[str, ...]
    instances: int
    last_stored_at: datetime | None


_LISTED = f"""
    select {_TOLD}, ss.channel, coalesce(s.peer, '') as peer, s.last_stored_at,
           coalesce(q.accession, '') as accession, coalesce(q.modalities, '{{}}') as modalities,
           (select coalesce(sum(e.instances), 0) from series e
            where e.study_uid = ss.uid and e.facility = ss.facility) as instances
    from study_state ss left join study s on s.uid = ss.uid and s.facility = ss.facility
    left join study_search q on q.uid = ss.uid and q.facility = ss.facility
    """


async def listed(
    connection: Connection,
    *,
    state: State | None,
    facility: str | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[Listed]:
    """Those whose state changed last come first; `before` is the last one of the page before."""
    at, uid = before if before is not None else (None, None)
    rows = await connection.fetch(
        f"""
        {_LISTED} where ($1::text is null or {_STATE} = $1) and ($2::text is null or ss.facility = $2)
          and ($3::timestamptz is null or (ss.since, ss.uid) < ($3, $4))
        order by ss.since desc, ss.uid desc limit $5
        """,
        state,
        facility,
        at,
        uid,
        limit,
    )
    return [_listed(row) for row in rows]


async def of_study(connection: Connection, uid: str) -> list[Listed]:
    """A study at each facility that has it or announced it."""
    rows = await connection.fetch(f"{_LISTED} where ss.uid = $1 order by ss.facility", uid)
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
