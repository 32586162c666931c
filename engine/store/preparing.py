"""Of which studies is metadata to be prepared? Those of which other objects are served than before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.store.database import Connection


@dataclass(frozen=True, slots=True)
class ToPrepare:
    """A study, and when it last changed."""

    study_uid: str
    since: datetime


async def changed(connection: Connection, study_uid: str, at: datetime) -> None:
    """Marks a study, in the caller's transaction."""
    await connection.execute(
        """
        insert into study_to_prepare (uid, since) values ($1, $2)
        on conflict (uid) do update set since = greatest(study_to_prepare.since, excluded.since)
        """,
        study_uid,
        at,
    )


async def waiting(connection: Connection, limit: int) -> list[ToPrepare]:
    """The newest changes first: they are looked at soonest."""
    rows = await connection.fetch(
        "select uid as study_uid, since from study_to_prepare order by since desc, uid limit $1", limit
    )
    return [ToPrepare(**row) for row in rows]


async def prepared(connection: Connection, study: ToPrepare) -> None:
    """A study that changed again meanwhile goes on waiting."""
    await connection.execute("delete from study_to_prepare where uid = $1 and since = $2", study.study_uid, study.since)
