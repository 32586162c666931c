"""What are imaging systems owed, in which order, and which objects did they take? Studies, and questions for priors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from engine.errors import ParseError
from engine.store.database import Connection
from engine.store.imaging_query import Content
from engine.store.instances import INSTANCE_COLUMNS, Instance
from engine.store.outbox import CHANNEL, Due, Owed

URGENT = 0
ROUTINE = 100
"""Of a priority, with the rank of the modality added: lower goes first, and what is below ROUTINE is urgent."""
QUESTION = -200
"""Added for a question for earlier studies: it is asked when it comes up, beside what is sent and at any hour."""
QUESTIONS = range(QUESTION, URGENT)
URGENT_STUDIES = range(URGENT, ROUTINE)
STUDIES = range(URGENT, 10 * ROUTINE)
"""Priorities, as `due` may be asked for them."""

_LEADER_LOCK = 0x6875746F6E6A


_INSTANCE_COLUMNS = ", ".join(INSTANCE_COLUMNS)
_NOTES = """
            select * from instance_as_sent a
            where a.study_uid = $2 and a.facility = $3 and a.hidden = 'rejection-note' and exists (
                select from sent_instance s
                where s.endpoint = $1 and s.study_uid = $2 and s.facility = $3 and s.taken)
"""
"""Rejection notes of ours in a study, where the endpoint has taken something of it."""


class StudyOwed(msgspec.Struct, frozen=True, tag="study", tag_field="what"):
    """The objects of one study of one facility."""

    facility: str
    study_uid: str


class PriorsOwed(msgspec.Struct, frozen=True, tag="priors", tag_field="what"):
    """A question for earlier studies of a patient, and how he is known where the order comes from.

    patient_ids  by which he is known at the archive
    names        as they are written, and in Latin letters
    study_uid    of the order: what it asks for is no earlier study
    issuers      of each number who gave it out, where anybody is named
    """

    facility: str
    patient_ids: list[str]
    modality: str
    study_uid: str
    body_part: str = ""
    names: list[str] = []
    birth_date: str = ""
    sex: str = ""
    issuers: dict[str, list[str]] = {}


ImagingOwed = StudyOwed | PriorsOwed


@dataclass(frozen=True, slots=True)
class Prioritised:
    """One thing that is owed; its payload is an `ImagingOwed`."""

    owed: Owed
    priority: int


@dataclass(frozen=True, slots=True)
class PrioritisedDue(Due):
    """What may be tried now; below ROUTINE it is urgent."""

    priority: int


@dataclass(frozen=True, slots=True)
class Unsent:
    """One object that a system has not taken yet; `rejects` where it is a rejection note of ours."""

    sha256: bytes
    content: Content
    rejects: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one object.

    status  as the system answered it; -1 where it was not offered
    taken   whether the system has it now
    note    what a person should know of it; empty for the usual
    """

    sop_uid: str
    sha256: bytes
    status: int
    taken: bool
    note: str


def payload_of(what: ImagingOwed) -> bytes:
    return msgspec.json.encode(what)


def read_payload(payload: bytes) -> ImagingOwed:
    """Raises ParseError."""
    try:
        return msgspec.json.decode(payload, type=StudyOwed | PriorsOwed)
    except msgspec.MsgspecError as error:
        raise ParseError(f"nothing that an imaging system could be owed: {error}", code="payload-unreadable") from error


async def owe(connection: Connection, owed: Sequence[Prioritised], at: datetime) -> None:
    """Adds deliveries in the caller's transaction: they are owed exactly when its records are there."""
    if not owed:
        return
    await connection.executemany(
        """
        insert into delivery (id, endpoint, control_id, payload, next_attempt_at, created_at, envelope, about, route,
                              priority)
        values ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9)
        """,
        [
            (o.owed.id, o.owed.endpoint, o.owed.control_id, o.owed.payload, at, o.owed.envelope, o.owed.about,
             o.owed.route, o.priority)
            for o in owed
        ],
    )  # fmt: skip
    await connection.execute("select pg_notify($1, '')", CHANNEL)


async def lead(connection: Connection) -> bool:
    """Becomes the one that sends studies, for as long as the connection lives; False while another one is."""
    leading: bool = await connection.fetchval("select pg_try_advisory_lock($1)", _LEADER_LOCK)
    return leading


async def due(
    connection: Connection, endpoint: str, at: datetime, *, apart_from: Collection[bytes], priorities: range
) -> PrioritisedDue | None:
    """The most urgent of them that may be tried now, the oldest of equals; what failed lets others pass meanwhile.

    apart_from  payloads that are under way: a study that has grown is owed again, and is not sent twice at once
    """
    row = await connection.fetchrow(
        """
        select id, endpoint, control_id, payload, about, attempts, next_attempt_at, priority from delivery
        where endpoint = $1 and state = 'owed' and priority is not null
          and next_attempt_at <= $2 and payload <> all($3::bytea[]) and priority >= $4 and priority < $5
        order by priority, id limit 1
        """,
        endpoint,
        at,
        list(apart_from),
        priorities.start,
        priorities.stop,
    )
    return PrioritisedDue(**row) if row else None


async def whole(connection: Connection, endpoint: str, study: StudyOwed) -> list[Instance]:
    """What another hub is to have of a study, whatever it has: our rejection notes, as `unsent` says, and the served.

    The notes go first, so that nothing is shown beside what corrects it.
    """
    rows = await connection.fetch(
        f"""
        select {_INSTANCE_COLUMNS} from (
            select {_INSTANCE_COLUMNS}, 0 as place from ({_NOTES}) note
            union all
            select {_INSTANCE_COLUMNS}, 1 from instance where study_uid = $2 and facility = $3 and not conflict
        ) mine order by place, series_uid, number nulls last, sop_uid
        """,
        endpoint,
        study.study_uid,
        study.facility,
    )
    return [Instance(**row) for row in rows]


async def unsent(connection: Connection, endpoint: str, study: StudyOwed) -> list[Unsent]:
    """The objects of a study that the endpoint has not taken, by whichever delivery; by series and number.

    Those that it failed to take before come last, so that they are in nobody's way. Rejection notes of ours are not
    served; whoever has something of the study is sent them all the same.
    """
    rows = await connection.fetch(
        f"""
        with note as ({_NOTES}), mine as (
            select sop_uid, sop_class, transfer_syntax, location, charset, bytes, sha256, series_uid, number,
                   false as rejects
            from instance where study_uid = $2 and facility = $3 and not conflict
            union all
            select sop_uid, sop_class, transfer_syntax, location, charset, bytes, sha256, series_uid, number, true
            from note
        )
        select i.sop_uid, i.sop_class, i.transfer_syntax, i.location, i.charset, i.bytes, i.sha256, i.rejects
        from mine i left join sent_instance s
             on s.endpoint = $1 and s.study_uid = $2 and s.facility = $3 and s.sop_uid = i.sop_uid
                and s.sha256 = i.sha256
        where s.taken is not true
        order by s.sop_uid is not null, i.series_uid, i.number nulls last, i.sop_uid
        """,
        endpoint,
        study.study_uid,
        study.facility,
    )
    return [
        Unsent(
            row["sha256"],
            Content(row["sop_uid"], row["sop_class"], row["transfer_syntax"], row["location"], row["charset"],
                    row["bytes"]),
            row["rejects"],
        )
        for row in rows
    ]  # fmt: skip


async def answered(
    connection: Connection, delivery: UUID, endpoint: str, study: StudyOwed, answers: Sequence[Answer], at: datetime
) -> None:
    """Remembers what became of objects, so that no attempt sends again what was taken."""
    await connection.executemany(
        """
        insert into sent_instance (endpoint, study_uid, facility, sop_uid, sha256, delivery, status, taken, note, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        on conflict (endpoint, study_uid, facility, sop_uid, sha256) do update
        set delivery = excluded.delivery, status = excluded.status, taken = excluded.taken, note = excluded.note,
            at = excluded.at
        """,
        [
            (endpoint, study.study_uid, study.facility, answer.sop_uid, answer.sha256, delivery, answer.status,
             answer.taken, answer.note, at)
            for answer in answers
        ],
    )  # fmt: skip


async def taken(connection: Connection, endpoint: str, study: StudyOwed) -> int:
    """How many objects of a study the endpoint has taken."""
    count: int = await connection.fetchval(
        """
        select count(*) from sent_instance where endpoint = $1 and study_uid = $2 and facility = $3 and taken
        """,
        endpoint,
        study.study_uid,
        study.facility,
    )
    return count


async def held(connection: Connection, study_uid: str) -> set[str]:
    """The objects of a study that are here, whoever sent them; those too that nobody is shown any more."""
    rows = await connection.fetch(
        """
        select sop_uid from instance where study_uid = $1
        union select sop_uid from instance_as_sent where study_uid = $1
        """,
        study_uid,
    )
    return {row["sop_uid"] for row in rows}
