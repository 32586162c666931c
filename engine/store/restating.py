"""How do statements about studies take effect? The index is written anew for the studies that they touch.

What is served is worked out from what was sent and from the statements that stand: taking one back leads to where
everything would be without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asyncpg import Record

from engine.store import imaging_index, statements
from engine.store.as_sent import Stored, stored
from engine.store.database import Connection
from engine.store.instances import INSTANCE_COLUMNS, Instance, insert
from engine.store.statements import Kind, Served, Statement

_COLUMNS = ", ".join(INSTANCE_COLUMNS)
_TOLD_OF_UNDOING = ("undo-owed", "undo-made")


@dataclass(frozen=True, slots=True)
class Locked:
    """A study, locked until the transaction ends."""

    uid: str
    revision: int
    channel: str
    peer: str
    last_stored_at: datetime


@dataclass(frozen=True, slots=True)
class _Change:
    """What is served of an object from now on; None for nothing."""

    stored: Stored
    wanted: Instance | None
    now: Served


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
            """
            select id, kind, study_uid, studies, said, undone_at from study_statement
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
    of = stored.as_sent
    now = statements.served(of, standing)
    if now.hidden:
        as_it_is = stored.hidden == now.hidden
        return None if as_it_is else _Change(stored, None, now)
    charset: dict[str, Any] = json.loads(sent.charset)
    written = statements.charset_after(charset, now.attributes)
    changes = statements.changes(of, now, tags)
    read_as = ""
    if written != charset:
        changes["character_set"] = written["declared"]
        read_as = charset.get("used", "")
    wanted = replace(
        sent,
        sop_uid=now.sop_uid,
        study_uid=now.study_uid,
        series_uid=now.series_uid,
        conflict=now.conflict,
        location=statements.location_of(sent.location, changes, written.get("used", ""), read_as),
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


def _text(told: Mapping[str, Any]) -> str:
    return json.dumps(told, ensure_ascii=False)


def _statement(row: Record) -> Statement:
    said = statements.read(row["said"])
    return Statement(row["id"], Kind(row["kind"]), row["study_uid"], said, undone=row["undone_at"] is not None)
