"""How does a person link two patients, or undo what was joined? Everything follows as if a message had said so."""

from __future__ import annotations

from datetime import datetime

from engine.errors import NotFoundError, RequestStateError
from engine.identity import Join
from engine.recording.book import Book
from engine.recording.join_people import DOUBTFUL, regroup
from engine.store import audit, findings, joins, people
from engine.store.database import Connection
from engine.store.joins import Stated


async def link(connection: Connection, join: Join, actor: str, why: str, at: datetime) -> Stated:
    """States that two source Patients are one person, in the caller's transaction.

    Raises NotFoundError for one that is no source Patient, RequestStateError where this is stated already, and
    VersionConflict when a message changed one of them meanwhile: begin again.
    """
    held = await people.hold_people(connection, (join.joined, join.to))
    if not {join.joined, join.to} <= held.keys():
        raise NotFoundError("a patient is linked by the id of one facility's own record of it")
    if join.joined == join.to or any(one.stands and one.join == join for one in await joins.about(connection, held)):
        raise RequestStateError("these patients are linked already", code="already-linked")
    number = await joins.state(connection, join, None, actor, at)
    act = audit.Audited(actor, "link-patients", f"Patient/{join.joined}", {"to": f"Patient/{join.to}", "reason": why})
    return await _settled(connection, number, join, act, at)


async def undo(connection: Connection, number: int, actor: str, why: str, at: datetime) -> Stated:
    """Takes a merge or link back, in the caller's transaction: what other statements say stays as it is.

    Raises NotFoundError, RequestStateError when it was taken back before, and VersionConflict as `link` does.
    """
    one = await joins.one(connection, number)
    if one is None:
        raise NotFoundError("nobody was joined under this number")
    if not one.stands:
        raise RequestStateError("this was undone before", code="already-undone")
    await joins.take_back(connection, number, actor, None, why, at)
    subject = f"Patient/{one.join.joined}"
    await findings.settle(connection, DOUBTFUL, subject, "The join was undone.", at)
    act = audit.Audited(actor, f"undo-{one.join.kind}", subject, {"to": f"Patient/{one.join.to}", "reason": why})
    return await _settled(connection, number, one.join, act, at)


async def _settled(connection: Connection, number: int, join: Join, act: audit.Audited, at: datetime) -> Stated:
    book = Book(connection, act.actor)
    held = await people.hold_people(connection, (join.joined, join.to))
    await book.load(f"Patient/{standing.golden}" for standing in held.values())
    await regroup(connection, book, held, lambda patient: book.put(patient, None, None))
    await book.write(at)
    await audit.write(connection, [act], at)
    written = await joins.one(connection, number)
    assert written is not None
    return written
