"""Which rejection notes came and are to be carried out, and which are we to make?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.store import as_sent, restating, statements, stating
from engine.store.database import Connection
from engine.store.instances import INSTANCE_COLUMNS, Instance
from engine.store.statements import Served, Statement
from engine.store.stating import Stated


@dataclass(frozen=True, slots=True)
class Changed:
    """An object as it was served before a statement, or before it was taken back; that is how others know it."""

    sent: Instance
    before: Served


@dataclass(frozen=True, slots=True)
class OwedNote:
    """A statement that others are to be told of, and what they are to forget by it."""

    stated: Stated
    undone: bool
    changed: tuple[Changed, ...]

    @property
    def sop_uid(self) -> str:
        return statements.note_uid(self.stated.id, undone=self.undone)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A key object selection as it is served, and the SOP Instance UID that it came with."""

    served: Instance
    sop_uid: str


async def unread(
    connection: Connection, channel: str, limit: int, *, apart_from: Collection[bytes] = ()
) -> list[Arrived]:
    """Key object selections of a channel that nobody has looked into, the oldest first.

    apart_from  hashes of those that are left for later
    """
    rows = await connection.fetch(
        f"""
        select {", ".join(f"i.{name}" for name in INSTANCE_COLUMNS)}, coalesce(a.sop_uid, i.sop_uid) as came_as
        from instance i join study s on s.uid = i.study_uid and s.facility = i.facility
        left join instance_as_sent a
             on a.served_sop_uid = i.sop_uid and a.facility = i.facility and a.sha256 = i.sha256 and a.hidden = ''
        where i.sop_class = '1.2.840.10008.5.1.4.1.1.88.59' and s.channel = $1 and not i.conflict
          and i.sha256 <> all($3::bytea[])
          and not exists (select from rejection_note_read r
                          where r.sop_uid = coalesce(a.sop_uid, i.sop_uid) and r.facility = i.facility
                            and r.sha256 = i.sha256)
        order by i.stored_at, i.sop_uid limit $2
        """,
        channel,
        limit,
        list(apart_from),
    )
    return [Arrived(Instance(**{name: row[name] for name in INSTANCE_COLUMNS}), row["came_as"]) for row in rows]


async def mark_read(connection: Connection, note: Arrived, at: datetime) -> bool:
    """In the transaction that carries it out; False where another process has done that."""
    status: str = await connection.execute(
        "insert into rejection_note_read (sop_uid, facility, sha256, read_at) values ($1, $2, $3, $4) "
        "on conflict do nothing",
        note.sop_uid,
        note.served.facility,
        note.served.sha256,
        at,
    )
    return status.endswith("1")


async def studies_with(connection: Connection, facility: str, sop_uids: Sequence[str]) -> list[str]:
    """The studies in which these instances are served, or were sent."""
    rows = await connection.fetch(
        """
        select study_uid from instance where facility = $1 and sop_uid = any($2)
        union select served_study_uid from instance_as_sent where facility = $1 and sop_uid = any($2)
        """,
        facility,
        list(sop_uids),
    )
    return [row["study_uid"] for row in rows]


async def shows(connection: Connection, facility: str, sop_uids: Sequence[str]) -> bool:
    """Whether one of these instances is served, under the UID that it has now or came with."""
    shown: bool = await connection.fetchval(
        """
        select exists (select from instance where facility = $1 and sop_uid = any($2) and not conflict)
            or exists (select from instance_as_sent
                       where facility = $1 and sop_uid = any($2) and hidden = '' and not conflict)
        """,
        facility,
        list(sop_uids),
    )
    return shown


async def owed(connection: Connection, channel: str, limit: int, *, apart_from: Collection[int] = ()) -> list[OwedNote]:
    """The notes that are to be made for studies of a channel, in the order of what they tell of.

    apart_from  numbers of statements that are left for later
    """
    rows = await connection.fetch(
        """
        select t.id from study_statement t join study s on s.uid = t.study_uid and s.facility = t.facility
        where t.note in ('owed', 'undo-owed') and s.channel = $1 and t.id <> all($3::bigint[])
        order by t.id limit $2
        """,
        channel,
        limit,
        list(apart_from),
    )
    return [note for row in rows if (note := await _owed(connection, row["id"])) is not None]


async def receivers(connection: Connection, note: OwedNote) -> list[str]:
    """The endpoints that have taken something of what the note rejects."""
    rows = await connection.fetch(
        """
        select distinct endpoint from sent_instance
        where facility = $1 and sop_uid = any($2) and taken order by endpoint
        """,
        note.stated.facility,
        [one.before.sop_uid for one in note.changed],
    )
    return [row["endpoint"] for row in rows]


async def is_kept(connection: Connection, note: OwedNote) -> bool:
    """Whether the note is in the index, beside what is served."""
    kept: bool = await connection.fetchval(
        "select exists (select from instance_as_sent where facility = $1 and sop_uid = $2)",
        note.stated.facility,
        note.sop_uid,
    )
    return kept


async def made(connection: Connection, note: OwedNote) -> bool:
    """In the transaction that owes it to its receivers; False where it is not owed any more."""
    status: str = await connection.execute(
        """
        update study_statement set note = case note when 'owed' then 'made' else 'undo-made' end
        where id = $1 and note = $2
        """,
        note.stated.id,
        "undo-owed" if note.undone else "owed",
    )
    return status.endswith("1")


async def _owed(connection: Connection, number: int) -> OwedNote | None:
    stated = await stating.one(connection, number)
    if stated is None:
        return None
    as_it_was, as_it_became = await _around(connection, stated)
    changed = []
    for one in await as_sent.stored(connection, stated.facility, stated.studies):
        before, after = statements.served(one.as_sent, as_it_was), statements.served(one.as_sent, as_it_became)
        goes = before.sop_uid != after.sop_uid or not after.is_shown
        if goes and before.is_shown and after.hidden != statements.REJECTION_NOTE:
            changed.append(Changed(one.sent, before))
    return OwedNote(stated, not stated.stands, tuple(changed))


async def _around(connection: Connection, stated: Stated) -> tuple[list[Statement], list[Statement]]:
    """What took effect just before a statement was made, or taken back, and just after.

    Others may have been made or taken back since, and those of them that were taken back before are still told of.
    """
    effective = await restating.effective(connection, stated.facility, stated.studies)
    rows = await connection.fetch(
        "select id, undone_at from study_statement where id = any($1::bigint[])", [one.id for one in effective]
    )
    undone_at = {row["id"]: row["undone_at"] for row in rows}
    then = stated.undone_at or stated.stated_at
    before, after = [], []
    for one in effective:
        undone_since = one.undone and undone_at[one.id] > then
        if one.id == stated.id:
            before += [statements.standing(one)] if one.undone else []
            after.append(one)
        elif one.id < stated.id or (one.undone and not undone_since):
            was = statements.standing(one) if undone_since else one
            before.append(was)
            after.append(was)
    return before, after
