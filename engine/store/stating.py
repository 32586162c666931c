"""What did somebody state of studies, who, why, and was it taken back? Each takes effect as it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asyncpg import Record

from engine.errors import NotFoundError, RequestStateError
from engine.store import as_sent, restating, statements
from engine.store.database import Connection
from engine.store.restating import lock, restate
from engine.store.statements import Kind, Said

_STATED = """
    id, facility, kind, study_uid, studies, said, actor, reason, stated_at, undone_at, undone_by, undone_why, note
"""


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

    Others who have taken what was served by it are owed a note, whether they were told of the statement or not.

    Raises NotFoundError, and RequestStateError: `already-undone`; `later-statements` where something that was said
    afterwards of the same studies stands: that has to be taken back first, because it may rest on this; `note-owed`
    where others have what was served by it, and the note of the statement itself is still to be made.
    """
    row = await connection.fetchrow(f"select {_STATED} from study_statement where id = $1", number)
    if row is None:
        raise NotFoundError("nothing was decided under this number")
    await lock(connection, row["facility"], row["studies"])  # before the statement, as whoever sends does
    row = await connection.fetchrow(f"select {_STATED} from study_statement where id = $1 for update", number)
    one = _stated(row)
    if not one.stands:
        raise RequestStateError("this was undone before", code="already-undone")
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
    is_known = await _is_known(connection, one)
    if is_known and one.note == "owed":
        raise RequestStateError("others are being told of this decision: try again in a moment", code="note-owed")
    await connection.execute(
        "update study_statement set undone_at = $2, undone_by = $3, undone_why = $4, note = $5 where id = $1",
        number,
        at,
        by,
        why,
        "undo-owed" if is_known or one.note == "made" else "none",
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


async def _is_known(connection: Connection, one: Stated) -> bool:
    """Whether another system has taken something as it is served by a statement, or the note that said it."""
    effective = await restating.effective(connection, one.facility, one.studies)
    without = [other for other in effective if other.id != one.id]
    shown = {one.said.note} - {""}
    for stored in await as_sent.stored(connection, one.facility, one.studies):
        now = statements.served(stored.as_sent, effective)
        if now.is_shown and now != statements.served(stored.as_sent, without):
            shown.add(now.sop_uid)
    known: bool = await connection.fetchval(
        "select exists (select from sent_instance where facility = $1 and sop_uid = any($2) and taken)",
        one.facility,
        sorted(shown),
    )
    return known


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


def _stated(row: Record) -> Stated:
    return Stated(
        **{
            **dict(row),
            "kind": Kind(row["kind"]),
            "studies": tuple(row["studies"]),
            "said": statements.read(row["said"]),
        }
    )
