"""How do statements about studies take effect? The index is written anew for the studies that they touch.

What is served stands in `instance`, so queries know nothing of statements; what was sent stands in `instance_as_sent`
for as long as it differs. Both are worked out from what was sent and from the statements that stand: taking one back
leads to where everything would be without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asyncpg import Record

from engine.errors import NotFoundError, RequestStateError
from engine.store import imaging_index, statements
from engine.store.database import Connection
from engine.store.instances import INSTANCE_COLUMNS, Instance, insert
from engine.store.statements import Kind, Said, Sent, Served, Statement

_COLUMNS = ", ".join(INSTANCE_COLUMNS)
_STATED = """
    id, facility, kind, study_uid, studies, said, actor, reason, stated_at, undone_at, undone_by, undone_why, note
"""

_TOLD_OF_UNDOING = ("undo-owed", "undo-made")


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement and its history. `studies` are all that it touches."""

    id: int
    facility: str
    kind: Kind
    study_uid: str
    studies: tuple[str, ...]
    said: Said
    actor: str
    reason: str
    stated_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undone_why: str | None
    note: str

    @property
    def stands(self) -> bool:
        return self.undone_at is None


@dataclass(frozen=True, slots=True)
class New:
    """A statement to be made. `owes_note`: others are to be told by a rejection note."""

    facility: str
    kind: Kind
    study_uid: str
    studies: Sequence[str]
    said: Said
    actor: str
    reason: str
    owes_note: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was sent, and what is served of it now. `hidden` says why nothing is."""

    sent: Instance
    served_sop_uid: str
    served_study_uid: str
    served_series_uid: str
    served_location: str
    served_conflict: bool
    served_tags: str
    hidden: str


@dataclass(frozen=True, slots=True)
class _Change:
    """What is served of an object from now on; None for nothing."""

    stored: Stored
    wanted: Instance | None
    now: Served


@dataclass(frozen=True, slots=True)
class Locked:
    """A study, locked until the transaction ends."""

    uid: str
    revision: int
    channel: str
    peer: str
    last_stored_at: datetime


async def lock(connection: Connection, facility: str, studies: Iterable[str]) -> dict[str, Locked]:
    """Those of these studies that there are, by UID; locked in one order."""
    rows = await connection.fetch(
        """
        select uid, revision, channel, peer, last_stored_at from study where facility = $1 and uid = any($2)
        order by uid, facility for update
        """,
        facility,
        sorted(set(studies)),
    )
    return {row["uid"]: Locked(**row) for row in rows}


async def attributes_of(connection: Connection, facility: str, study_uid: str) -> dict[str, str]:
    """What is said of a study and its patient as it is served; nothing where nothing of it is."""
    tags = await connection.fetchval(
        "select tags from study_search where facility = $1 and uid = $2", facility, study_uid
    )
    told: dict[str, str] = json.loads(tags) if tags else {}
    return told


async def facilities_of(connection: Connection, study_uid: str) -> list[str]:
    """The facilities that have a study under this UID."""
    rows = await connection.fetch("select facility from study where uid = $1 order by facility", study_uid)
    return [row["facility"] for row in rows]


async def was_sent(connection: Connection, facility: str, studies: Iterable[str]) -> bool:
    """Whether some other system has taken an object of these studies."""
    sent: bool = await connection.fetchval(
        "select exists (select from sent_instance where facility = $1 and study_uid = any($2) and taken)",
        facility,
        sorted(set(studies)),
    )
    return sent


async def state(connection: Connection, new: New, at: datetime) -> int:
    """Makes a statement, in the caller's transaction, and lets it take effect. Its number."""
    number: int = await connection.fetchval(
        """
        insert into study_statement (facility, kind, study_uid, studies, said, actor, reason, stated_at, note)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id
        """,
        new.facility,
        str(new.kind),
        new.study_uid,
        list(new.studies),
        statements.as_json(new.said),
        new.actor,
        new.reason,
        at,
        "owed" if new.owes_note else "none",
    )
    await _add_studies(connection, new.facility, new.study_uid, new.studies, at)
    await restate(connection, new.facility, new.studies)
    return number


async def take_back(connection: Connection, number: int, by: str, why: str, at: datetime) -> Stated:
    """Takes a statement back, in the caller's transaction.

    Raises NotFoundError, and RequestStateError: `already-undone`, or `later-statements` where something that was said
    afterwards of the same studies stands: that has to be taken back first, because it may rest on this.
    """
    row = await connection.fetchrow(f"select {_STATED} from study_statement where id = $1 for update", number)
    if row is None:
        raise NotFoundError("nothing was decided under this number")
    one = _stated(row)
    if not one.stands:
        raise RequestStateError("this was undone before", code="already-undone")
    await lock(connection, one.facility, one.studies)
    later = await connection.fetchval(
        """
        select max(id) from study_statement
        where facility = $1 and studies && $2::text[] and id > $3 and undone_at is null
        """,
        one.facility,
        list(one.studies),
        number,
    )
    if later is not None:
        raise RequestStateError(f"undo number {later} first: it was decided later", code="later-statements")
    await connection.execute(
        """
        update study_statement set undone_at = $2, undone_by = $3, undone_why = $4,
               note = case note when 'owed' then 'none' when 'made' then 'undo-owed' else note end
        where id = $1
        """,
        number,
        at,
        by,
        why,
    )
    await connection.execute(
        "update study set statements = statements + 1 where facility = $1 and uid = any($2)",
        one.facility,
        list(one.studies),
    )
    await restate(connection, one.facility, one.studies)
    return one


async def about(connection: Connection, facility: str, study_uid: str) -> list[Stated]:
    """Everything that was said of a study, the oldest first; what was taken back too."""
    rows = await connection.fetch(
        f"select {_STATED} from study_statement where facility = $1 and studies @> array[$2::text] order by id",
        facility,
        study_uid,
    )
    return [_stated(row) for row in rows]


async def one(connection: Connection, number: int) -> Stated | None:
    row = await connection.fetchrow(f"select {_STATED} from study_statement where id = $1", number)
    return _stated(row) if row else None


def tags_of(stored: Stored) -> dict[str, str]:
    """What is served of an object by the names of the index; of one that is hidden what it says itself."""
    told: dict[str, str] = json.loads(stored.served_tags)
    return told


async def stored(connection: Connection, facility: str, studies: Iterable[str]) -> list[Stored]:
    """Every object that was sent as part of these studies, or is served as part of them; in the order of arrival."""
    return await _stored(
        connection,
        "i.study_uid = any($2)",
        "a.study_uid = any($2) or a.served_study_uid = any($2)",
        facility,
        sorted(set(studies)),
    )


async def contents_of(connection: Connection, facility: str, sop_uid: str) -> list[Stored]:
    """Every object that was sent under a SOP Instance UID."""
    return await _stored(connection, "i.sop_uid = $2", "a.sop_uid = $2", facility, sop_uid)


async def _stored(
    connection: Connection, as_sent: str, changed: str, facility: str, of: str | list[str]
) -> list[Stored]:
    rows = await connection.fetch(
        f"""
        select {_of("i")}, i.sop_uid as served_sop_uid, i.study_uid as served_study_uid,
               i.series_uid as served_series_uid, i.location as served_location, i.conflict as served_conflict,
               i.tags as served_tags, '' as hidden
        from instance i where i.facility = $1 and {as_sent} and not exists (
            select from instance_as_sent a
            where a.served_sop_uid = i.sop_uid and a.facility = i.facility and a.sha256 = i.sha256 and a.hidden = '')
        union all
        select {_of("a")}, a.served_sop_uid, a.served_study_uid, coalesce(i.series_uid, a.series_uid),
               coalesce(i.location, ''), coalesce(i.conflict, false),
               coalesce(i.tags, a.tags), a.hidden
        from instance_as_sent a left join instance i
          on i.sop_uid = a.served_sop_uid and i.facility = a.facility and i.sha256 = a.sha256 and a.hidden = ''
        where a.facility = $1 and ({changed})
        order by stored_at, sop_uid, sha256
        """,
        facility,
        of,
    )
    return [
        Stored(
            Instance(**{name: row[name] for name in INSTANCE_COLUMNS}),
            **{name: row[name] for name in Stored.__slots__ if name != "sent"},
        )
        for row in rows
    ]


async def restate(connection: Connection, facility: str, studies: Iterable[str]) -> None:
    """Works out anew what is served of these studies, and of those that statements tie to them.

    The engine is told anew of each study of which something changes, and of these themselves.
    """
    touched, standing = await _standing(connection, facility, studies)
    await lock(connection, facility, touched)
    changes = [
        change for one in await stored(connection, facility, touched) if (change := _change(one, standing)) is not None
    ]
    await _write(connection, changes)
    changed = {uid for change in changes for uid in (change.stored.served_study_uid, change.now.study_uid)}
    await _index_anew(connection, facility, sorted(changed))
    await connection.execute(
        """
        update study s set revision = revision + 1
        where facility = $1 and uid = any($2) and (revision > 0 or exists (
            select from instance i where i.study_uid = s.uid and i.facility = s.facility))
        """,
        facility,
        sorted(changed | set(studies)),
    )


async def effective(connection: Connection, facility: str, studies: Iterable[str]) -> list[Statement]:
    """The statements that take effect on these studies, the oldest first."""
    return (await _standing(connection, facility, studies))[1]


async def _standing(connection: Connection, facility: str, studies: Iterable[str]) -> tuple[set[str], list[Statement]]:
    """These studies with all that statements tie to them, and the statements, the oldest first."""
    touched = set(studies)
    while True:
        rows = await connection.fetch(
            f"""
            select {_STATED} from study_statement
            where facility = $1 and studies && $2::text[] and (undone_at is null or note = any($3)) order by id
            """,
            facility,
            sorted(touched),
            list(_TOLD_OF_UNDOING),
        )
        more = {uid for row in rows for uid in row["studies"]} | touched
        if more == touched:
            return touched, [_statement(row) for row in rows]
        touched = more


def _change(stored: Stored, standing: Sequence[Statement]) -> _Change | None:
    """None where the object is served as it should be."""
    sent, tags = stored.sent, json.loads(stored.sent.tags)
    of = Sent(sent.sop_uid, sent.study_uid, sent.series_uid, sent.sha256, sent.conflict)
    now = statements.served(of, standing)
    if now.hidden:
        as_it_is = stored.hidden == now.hidden
        return None if as_it_is else _Change(stored, None, now)
    charset: dict[str, Any] = json.loads(sent.charset)
    written = statements.charset_after(charset, now.attributes)
    changes = statements.changes(of, now, tags)
    if written != charset:
        changes["character_set"] = written["declared"]
    wanted = replace(
        sent,
        sop_uid=now.sop_uid,
        study_uid=now.study_uid,
        series_uid=now.series_uid,
        conflict=now.conflict,
        location=statements.location_of(sent.location, changes, written.get("used", "")),
        tags=_text(statements.tags_after(tags, now.attributes)) if now.attributes else sent.tags,
        charset=_text(written) if written != charset else sent.charset,
    )
    as_it_is = not stored.hidden and (wanted.location, wanted.conflict) == (
        stored.served_location,
        stored.served_conflict,
    )
    return None if as_it_is else _Change(stored, wanted, now)


async def _write(connection: Connection, changes: Sequence[_Change]) -> None:
    """Takes everything away first: what one object leaves, another may take."""
    await connection.executemany(
        "delete from instance where sop_uid = $1 and facility = $2 and sha256 = $3",
        [
            (c.stored.served_sop_uid, c.stored.sent.facility, c.stored.sent.sha256)
            for c in changes
            if not c.stored.hidden
        ],
    )
    await connection.executemany(
        "delete from instance_as_sent where sop_uid = $1 and facility = $2 and sha256 = $3",
        [(c.stored.sent.sop_uid, c.stored.sent.facility, c.stored.sent.sha256) for c in changes],
    )
    await insert(connection, [c.wanted for c in changes if c.wanted is not None])
    await connection.executemany(
        f"""
        insert into instance_as_sent ({_COLUMNS}, served_sop_uid, served_study_uid, hidden)
        values ({", ".join(f"${place}" for place in range(1, len(INSTANCE_COLUMNS) + 4))})
        """,
        [
            (*(getattr(c.stored.sent, name) for name in INSTANCE_COLUMNS), c.now.sop_uid, c.now.study_uid, c.now.hidden)
            for c in changes
            if c.wanted != c.stored.sent
        ],
    )


async def _index_anew(connection: Connection, facility: str, studies: Sequence[str]) -> None:
    """What these studies are found by, from what is served of them now."""
    await connection.execute("delete from series where facility = $1 and study_uid = any($2)", facility, studies)
    await connection.execute("delete from study_search where facility = $1 and uid = any($2)", facility, studies)
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from instance where facility = $1 and study_uid = any($2) and not conflict
        order by stored_at, sop_uid, sha256
        """,
        facility,
        studies,
    )
    if rows:
        await imaging_index.add(connection, [Instance(**row) for row in rows])


async def _add_studies(connection: Connection, facility: str, of: str, studies: Sequence[str], at: datetime) -> None:
    """Counts a statement for each study; one that is new comes from where the study comes that it was said of."""
    await connection.execute(
        """
        insert into study (uid, facility, channel, peer, first_stored_at, last_stored_at, revision, statements)
        select new.uid, $1, s.channel, s.peer, $4, $4, 0, 0
        from unnest($3::text[]) as new (uid), study s where s.uid = $2 and s.facility = $1
        order by new.uid on conflict do nothing
        """,
        facility,
        of,
        sorted(studies),
        at,
    )
    await connection.execute(
        "update study set statements = statements + 1 where facility = $1 and uid = any($2)", facility, list(studies)
    )


def _text(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)


def _of(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in INSTANCE_COLUMNS)


def _statement(row: Record) -> Statement:
    said = statements.read(row["said"])
    return Statement(row["id"], Kind(row["kind"]), row["study_uid"], said, undone=row["undone_at"] is not None)


def _stated(row: Record) -> Stated:
    return Stated(
        **{
            **dict(row),
            "kind": Kind(row["kind"]),
            "studies": tuple(row["studies"]),
            "said": statements.read(row["said"]),
        }
    )
