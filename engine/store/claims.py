"""Which of several processes does it? One at a time: whoever holds the claim, until its transaction ends."""

from __future__ import annotations

from engine.store.database import Connection


async def claim(connection: Connection, what: str) -> bool:
    """Claims what is named so, in the caller's transaction; False while another process has it.

    The statements after it see what the one before us has committed: whoever claims looks first what is left to do. The
    claim of a process that is killed ends with its connection.
    """
    claimed: bool = await connection.fetchval("select pg_try_advisory_xact_lock(hashtextextended($1, 0))", what)
    return claimed


async def claim_in_turn(connection: Connection, *what: str) -> None:
    """As `claim`, but waits until all of it is ours; claimed in one order, so that nobody waits in a circle."""
    await connection.execute(
        """
        select pg_advisory_xact_lock(key) from (
            select distinct hashtextextended(what, 0) as key from unnest($1::text[]) what order by 1
        ) keys
        """,
        what,
    )
