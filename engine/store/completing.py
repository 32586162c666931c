"""Which rows were written before they could be searched as today? Looked through once, a portion at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.codecs import fhir_json
from engine.store.database import Connection
from engine.store.tokens import RULES, tokens_of

_LOCK = 0x68757473
"""Advisory lock: of all processes one looks through the rows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Rows up to this one have been looked at."""

    type: str = ""
    id: str = ""


async def take(connection: Connection) -> bool:
    """Whether the work is this connection's, until it is closed; another process may have it."""
    taken: bool = await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK)
    return taken


async def left_off(connection: Connection) -> Place | None:
    """Where the work goes on; None when it is done."""
    row = await connection.fetchrow(
        "select after_type, after_id, finished_at from search_completion where rules = $1", RULES
    )
    if row is None:
        return Place()
    return Place(row["after_type"], row["after_id"]) if row["finished_at"] is None else None


async def complete(connection: Connection, after: Place, limit: int, at: datetime) -> Place | None:
    """Gives the next rows the tokens of today and remembers the place; None when there are no more.

    Rows are changed one by one, each by itself: whoever records meanwhile waits for one row at most, and nobody in a
    circle. A row that gets a new version at this moment has the tokens of today with it. No new version is made here.
    """
    rows = await connection.fetch(
        """
        select type, id, version, body, tokens from resource where (type, id) > ($1, $2) order by type, id limit $3
        """,
        after.type,
        after.id,
        limit,
    )
    for row in rows:
        tokens = tokens_of(fhir_json.loads(row["body"]))
        if set(tokens) != set(row["tokens"]):
            await connection.execute(
                "update resource set tokens = $4 where type = $1 and id = $2 and version = $3",
                row["type"],
                row["id"],
                row["version"],
                tokens,
            )
    place = Place(rows[-1]["type"], rows[-1]["id"]) if rows else after
    done = len(rows) < limit
    await connection.execute(
        """
        insert into search_completion (rules, after_type, after_id, finished_at) values ($1, $2, $3, $4)
        on conflict (rules) do update set after_type = excluded.after_type, after_id = excluded.after_id,
                                          finished_at = excluded.finished_at
        """,
        RULES,
        place.type,
        place.id,
        at if done else None,
    )
    return None if done else place
