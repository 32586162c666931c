"""Which statements say that two source Patients are one person? Who stated them, and who took them back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from engine.identity import Join, JoinKind
from engine.store.audit import SYSTEM
from engine.store.database import Connection

_COLUMNS = """
    id, kind, joined, joined_to, envelope, actor, stated_at, undone_at, undone_by, undone_envelope, undone_why
"""


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement and its history.

    envelope, actor  who stated it: one of the two
    undone_envelope  the message that took it back, where no person did
    """

    id: int
    join: Join
    envelope: UUID | None
    actor: str | None
    stated_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undone_envelope: UUID | None
    undone_why: str | None

    @property
    def stands(self) -> bool:
        return self.undone_at is None


async def about(connection: Connection, sources: Iterable[str]) -> list[Stated]:
    """Every statement about one of these source Patients, those that were taken back too, in the order they hold."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from patient_join where joined = any($1) or joined_to = any($1)
        order by stated_at, envelope, id
        """,
        sorted(set(sources)),
    )
    return [_stated(row) for row in rows]


async def one(connection: Connection, number: int) -> Stated | None:
    """One statement, locked until the caller's transaction ends."""
    row = await connection.fetchrow(f"select {_COLUMNS} from patient_join where id = $1 for update", number)
    return _stated(row) if row is not None else None


async def state(connection: Connection, join: Join, envelope: UUID | None, actor: str | None, at: datetime) -> int:
    number: int = await connection.fetchval(
        """
        insert into patient_join (kind, joined, joined_to, envelope, actor, stated_at)
        values ($1, $2, $3, $4, $5, $6) returning id
        """,
        str(join.kind),
        join.joined,
        join.to,
        envelope,
        actor,
        at,
    )
    return number


async def take_back(
    connection: Connection, number: int, by: str | None, envelope: UUID | None, why: str, at: datetime
) -> None:
    await connection.execute(
        """
        update patient_join set undone_at = $2, undone_by = $3, undone_envelope = $4, undone_why = $5 where id = $1
        """,
        number,
        at,
        by or SYSTEM,
        envelope,
        why,
    )


def _stated(row: Record) -> Stated:
    return Stated(
        id=row["id"],
        join=Join(JoinKind(row["kind"]), row["joined"], row["joined_to"]),
        envelope=row["envelope"],
        actor=row["actor"],
        stated_at=row["stated_at"],
        undone_at=row["undone_at"],
        undone_by=row["undone_by"],
        undone_envelope=row["undone_envelope"],
        undone_why=row["undone_why"],
    )
