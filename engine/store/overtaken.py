"""Was something decided of a study while its objects were on the line? Then whoever took them is owed a note.

As long as no answer is written nobody knows that a system has objects, so a decision owes it nothing; and what is
served by it under the numbers that the objects had would count as taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.store import restating
from engine.store.database import Connection
from engine.store.imaging_outbox import StudyOwed


@dataclass(frozen=True, slots=True)
class Looked:
    """What had been decided of a study when its objects were looked up to be sent.

    statements  how often something was said of it
    standing    numbers of the statements that stood
    """

    statements: int
    standing: frozenset[int]


async def look(connection: Connection, study: StudyOwed) -> Looked:
    """In the transaction that looks up the objects, and before them: what is said in between is told once more."""
    said: int | None = await connection.fetchval(
        "select statements from study where facility = $1 and uid = $2", study.facility, study.study_uid
    )
    if not said:
        return Looked(0, frozenset())
    rows = await connection.fetch(
        "select id from study_statement where facility = $1 and studies @> array[$2::text] and undone_at is null",
        study.facility,
        study.study_uid,
    )
    return Looked(said, frozenset(row["id"] for row in rows))


async def lock(connection: Connection, study: StudyOwed, looked: Looked) -> bool:
    """Whether something was decided since; nobody decides anything until the transaction ends.

    Before what a system took is written in it.
    """
    said: int | None = await connection.fetchval(
        "select statements from study where facility = $1 and uid = $2 for update", study.facility, study.study_uid
    )
    return (said or 0) != looked.statements


async def owe_notes(connection: Connection, study: StudyOwed, looked: Looked) -> None:
    """Owes notes of what was decided since, as if the objects had been taken before; in the transaction of `lock`.

    A content that was kept beside another, or left, takes nothing from those who have the other.
    """
    rows = await connection.fetch(
        """
        update study_statement
        set note = case when undone_at is null then 'owed' else 'undo-owed' end,
            said = case when undone_at is null then said || '{"renumber": true}' else said end
        where facility = $1 and studies @> array[$2::text] and note = 'none' and kind <> 'leave'
          and (undone_at is null) <> (id = any($3::bigint[])) and (undone_at is not null or kind <> 'keep')
        returning studies
        """,
        study.facility,
        study.study_uid,
        sorted(looked.standing),
    )
    if rows:
        await restating.restate(connection, study.facility, {uid for row in rows for uid in row["studies"]})
