"""Is a study whole? What is known of it to judge that, how it was judged, and who is to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.store.announcements import Source
from engine.store.database import Connection
from engine.store.instances import Instance
from engine.store.statements import REJECTION_NOTE


class State(StrEnum):
    """How much of a study has come."""

    RECEIVING = "receiving"
    """Objects still come, or may: neither has everything come that was announced nor has it been quiet for long."""
    WHOLE = "whole"
    """Everything that was announced is there; or nothing was announced, and it has been quiet for long."""
    SHORT = "short"
    """It has been quiet for long, and something that was announced is missing."""
    LATE = "late"
    """Nothing is missing, but something came after it had counted as whole: who has read it has not seen that."""


@dataclass(frozen=True, slots=True)
class StudyState:
    """How a study was judged last.

    announced     instances that it has, as the one says who says most; 0 where nothing was announced
    missing_uids  the first of the missing that are known by name
    sources       who announced something: mpps, commitment, query
    """

    uid: str
    facility: str
    state: State
    since: datetime
    announced: int = 0
    missing: int = 0
    missing_uids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """What one announcement says of a study: the number of instances that it names, or the numbers that it counts.

    series  how many instances a series has, by its UID; whole the same of the study
    """

    source: str
    named: int
    series: Mapping[str, int]
    whole: int | None
    final: bool = False
    """Whether nothing more will come of what it tells of: a procedure step that has ended."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a study.

    peer     who sent its first object; empty where none has come
    coming   whether its newest objects have not fallen quiet
    stored   when its last object came; None where none has
    said_at  when something was last announced unasked; an answer to a question says nothing of when
    have     instances by series, as they were sent: whatever study they are in now, and whether served or not
    absent   announced by name and not there
    before   how it was judged last
    """

    uid: str
    facility: str
    peer: str
    coming: bool
    stored: datetime | None
    said_at: datetime | None
    have: Mapping[str, int]
    statements: Sequence[Statement]
    absent: Sequence[str]
    before: State
    whole_at: datetime | None
    asked_at: datetime | None
    came_late: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """How a study stands now; `look_at` is when time alone may change that."""

    state: State
    look_at: datetime | None = None
    whole_at: datetime | None = None
    announced: int = 0
    missing: int = 0
    missing_uids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


MISSING_KEPT = 100
"""Names that are kept with a state; all of them are told when the study itself is asked for."""


async def noticed(connection: Connection, uid: str, facility: str, channel: str, at: datetime) -> None:
    """A study has fallen quiet: it is to be judged, and so is every other one whose missing instances are in it.

    What a commitment names is of no study until it comes: until then it is missing from that of its neighbours.
    """
    # Whoever judges one of them now, perhaps by what was there before, is waited for, all in one order.
    await connection.execute(
        """
        insert into study_state (uid, facility, channel, state, since, look_at)
        select uid, $2, $3, 'receiving', $4, $4 from (
            select $1::text as uid
            union
            select short.uid from instance i
            cross join lateral (  -- one look into the index for each, never one at all that are short
                select uid from study_state
                where facility = $2 and missing_uids <> '{}' and missing_uids @> array[i.sop_uid] offset 0
            ) short
            where i.study_uid = $1 and i.facility = $2 and not i.conflict
        ) one order by uid
        on conflict (uid, facility) do update set look_at = $4
        """,
        uid,
        facility,
        channel,
        at,
    )


async def late_instances(connection: Connection, uid: str, facility: str) -> list[str]:
    """Instances that came after the study had counted as whole; none where it never has."""
    rows = await connection.fetch(
        """
        select i.sop_uid from study_state s
        join instance i on i.study_uid = s.uid and i.facility = s.facility
             and (i.stored_at > s.whole_at or i.sop_uid = any(s.late_uids))
        where s.uid = $1 and s.facility = $2 and not i.conflict order by i.stored_at, i.sop_uid
        """,
        uid,
        facility,
    )
    return [row["sop_uid"] for row in rows]


async def came_behind(connection: Connection, instances: Sequence[Instance]) -> None:
    """Those of them are late that came before their study counted as whole, and have their rows only now.

    A process was killed and another went on with the study. In the transaction that adds them, and that has locked the
    studies: none of them is judged meanwhile.
    """
    columns = (
        [i.study_uid for i in instances],
        [i.facility for i in instances],
        [i.sop_uid for i in instances],
        [i.stored_at for i in instances],
    )
    locked = await connection.fetch(
        """
        select ss.uid from study_state ss
        join (select uid, facility, min(stored_at) as stored_at
              from unnest($1::text[], $2::text[], $3::timestamptz[]) as one (uid, facility, stored_at)
              group by uid, facility) first using (uid, facility)
        where first.stored_at <= ss.whole_at order by uid, facility for update of ss
        """,
        columns[0],
        columns[1],
        columns[3],
    )
    if not locked:
        return
    await connection.execute(
        """
        update study_state s set late_uids = late_uids || behind.sop_uids
        from (
            select uid, facility, array_agg(sop_uid) as sop_uids
            from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
                 as one (uid, facility, sop_uid, stored_at)
            join study_state using (uid, facility) where one.stored_at <= study_state.whole_at group by uid, facility
        ) behind where s.uid = behind.uid and s.facility = behind.facility
        """,
        *columns,
    )


async def due(connection: Connection, channel: str, at: datetime, limit: int) -> list[tuple[str, str]]:
    """UID and facility of studies that are to be judged now, those that wait longest first.

    Without those whose sender is being asked, by whichever process: who asks it judges them.
    """
    rows = await connection.fetch(
        """
        select uid, facility from study_state
        where channel = $1 and look_at <= $2 and (asking_until is null or asking_until <= $2)
        order by look_at, uid limit $3
        """,
        channel,
        at,
        limit,
    )
    return [(row["uid"], row["facility"]) for row in rows]


async def facts(connection: Connection, uid: str, facility: str) -> Facts | None:
    """None where there is nothing to judge.

    In a transaction, whose end lets the state be judged by others again, and objects be added to the study.
    """
    # Before its state, as whoever adds objects does; what is asked afterwards sees what they have added.
    await connection.execute("select from study where uid = $1 and facility = $2 for share", uid, facility)
    row = await connection.fetchrow(
        """
        select ss.state, ss.whole_at, ss.asked_at, s.peer, s.last_stored_at,
               coalesce(s.noticed_revision < s.revision, false) as coming,
               exists (select from instance i where i.study_uid = ss.uid and i.facility = ss.facility
                       and (i.stored_at > ss.whole_at or i.sop_uid = any(ss.late_uids))
                       and not i.conflict) as came_late
        from study_state ss left join study s on s.uid = ss.uid and s.facility = ss.facility
        where ss.uid = $1 and ss.facility = $2 for update of ss
        """,
        uid,
        facility,
    )
    if row is None:
        return None
    said = await connection.fetch(
        """
        select source, count(*) filter (where sop_uid <> '') as named, max(said_at) as said_at,
               max(count) filter (where sop_uid = '' and series_uid = '') as whole,
               array_agg(series_uid) filter (where sop_uid = '' and series_uid <> '') as series,
               array_agg(count) filter (where sop_uid = '' and series_uid <> '') as counts,
               source = 'mpps' and not exists (
                   select from performed_step p
                   where p.uid = about and p.facility = $2 and p.state = 'IN PROGRESS') as final
        from announced_instance where study_uid = $1 and facility = $2 and waived_at is null
        group by source, about order by source, about
        """,
        uid,
        facility,
    )
    return Facts(
        uid=uid,
        facility=facility,
        peer=row["peer"] or "",
        coming=row["coming"],
        stored=row["last_stored_at"],
        said_at=max((one["said_at"] for one in said if one["source"] != Source.QUERY), default=None),
        have=await _came(connection, uid, facility),
        statements=[
            Statement(
                one["source"],
                one["named"],
                dict(zip(one["series"] or (), one["counts"] or (), strict=True)),
                one["whole"],
                one["final"],
            )
            for one in said
        ],
        absent=await missing(connection, uid, facility),
        before=State(row["state"]),
        whole_at=row["whole_at"],
        asked_at=row["asked_at"],
        came_late=row["came_late"],
    )


async def _came(connection: Connection, uid: str, facility: str) -> dict[str, int]:
    """Of the study as it was sent: what is served of it, without what decisions brought, with what they took away."""
    rows = await connection.fetch(
        """
        select series, sum(number)::int as number from (
            select uid as series, instances as number from series where study_uid = $1 and facility = $2
            union all
            select i.series_uid, -1 from instance_as_sent a
            join instance i on i.sop_uid = a.served_sop_uid and i.facility = a.facility and i.sha256 = a.sha256
            where a.served_study_uid = $1 and a.facility = $2 and a.hidden = '' and not i.conflict
            union all
            select series_uid, 1 from instance_as_sent
            where study_uid = $1 and facility = $2 and not conflict and hidden <> $3
        ) one group by series
        """,
        uid,
        facility,
        REJECTION_NOTE,
    )
    return {row["series"]: row["number"] for row in rows}


async def missing(connection: Connection, uid: str, facility: str) -> list[str]:
    """Instances that were announced by name and have not come, whatever study they would be in now."""
    rows = await connection.fetch(
        """
        select distinct a.sop_uid from announced_instance a
        where a.study_uid = $1 and a.facility = $2 and a.sop_uid <> '' and a.waived_at is null
          and not exists (select from instance i
                          where i.sop_uid = a.sop_uid and i.facility = a.facility and not i.conflict)
          and not exists (select from instance_as_sent i where i.sop_uid = a.sop_uid and i.facility = a.facility)
        order by a.sop_uid
        """,
        uid,
        facility,
    )
    return [row["sop_uid"] for row in rows]


async def keep(connection: Connection, uid: str, facility: str, judged: Judged, at: datetime) -> None:
    """In the transaction that asked for the facts."""
    await connection.execute(
        """
        update study_state
        set since = case when state = $3 then since else $4 end, state = $3, look_at = $5,
            whole_at = coalesce(whole_at, $6), announced = $7, missing = $8, missing_uids = $9, sources = $10
        where uid = $1 and facility = $2
        """,
        uid,
        facility,
        judged.state,
        at,
        judged.look_at,
        judged.whole_at,
        judged.announced,
        judged.missing,
        list(judged.missing_uids),
        list(judged.sources),
    )


async def forget(connection: Connection, uid: str, facility: str) -> None:
    """Of a study of which nothing has come everything that was announced was taken back."""
    await connection.execute("delete from study_state where uid = $1 and facility = $2", uid, facility)
