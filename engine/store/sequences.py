"""Which number did a sender's last accepted message have? One row for each sender of a channel, locked while judged."""

from __future__ import annotations

from engine.store.database import Connection


async def hold_last(connection: Connection, channel: str, sender: str) -> int | None:
    """The last number, locked until the transaction ends; None when any may come next."""
    await connection.execute(
        "insert into sequence_number (channel, sender) values ($1, $2) on conflict do nothing", channel, sender
    )
    last: int | None = await connection.fetchval(
        "select last from sequence_number where channel = $1 and sender = $2 for update", channel, sender
    )
    return last


async def keep(connection: Connection, channel: str, sender: str, last: int | None) -> None:
    await connection.execute(
        "update sequence_number set last = $3 where channel = $1 and sender = $2", channel, sender, last
    )
