"""Who called the imaging gateway and was not let in? Findings, each once, and only so many of a channel at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from engine.store import findings
from engine.store.audit import SYSTEM
from engine.store.database import Connection
from engine.store.findings import Raised


async def tell(connection: Connection, unknown: Sequence[Raised], others: Raised, most: int, at: datetime) -> None:
    """Adds, in the caller's transaction, what was not told before, and beyond `most` that are open one for the others.

    What they are about is what the others are about, a colon and the caller. One that came right by itself is told
    anew, one that a person settled is not.
    """
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", others.about)
    told = await connection.fetch(
        "select code, about from finding where about = any($1) and (settled_at is null or settled_by <> $2)",
        [one.about for one in unknown],
        SYSTEM,
    )
    known = {(row["code"], row["about"]) for row in told}
    new = [one for one in unknown if (one.finding.code, one.about) not in known]
    if not new:
        return
    are_open = await connection.fetch(
        "select about from finding where settled_at is null and (about = $1 or starts_with(about, $1 || ': '))",
        others.about,
    )
    room = max(most - sum(row["about"] != others.about for row in are_open), 0)
    beyond = new[room:] and all(row["about"] != others.about for row in are_open)
    await findings.raise_many(connection, [*new[:room], *([others] if beyond else ())], at)


async def let_in(connection: Connection, abouts: Collection[str], at: datetime) -> None:
    """Settles, in the caller's transaction, what was told of those who are let in now."""
    await connection.execute(
        """
        update finding set settled_at = $2, settled_by = $3, settlement = 'it was let in'
        where about = any($1) and settled_at is null
        """,
        list(abouts),
        at,
        SYSTEM,
    )
