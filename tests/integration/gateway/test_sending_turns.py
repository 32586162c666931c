"""Who sends shares one connection: what one of them leaves half-way takes nothing from what the others write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from engine.store.database import FAILED
from pacs_gateway.sending.outcome import Turns


class Late(asyncpg.Connection):  # type: ignore[misc]  # asyncpg says nothing about its types
    """Its transactions have begun a while before whoever began one hears of it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.has_begun = asyncio.Event()
        self.may_be_heard = asyncio.Event()

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:
        said: str = await super().execute(query, *arguments, timeout=timeout)
        if query.startswith("BEGIN"):
            self.has_begun.set()
            await self.may_be_heard.wait()
        return said


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Late]:
    connection = await asyncpg.connect(database_url, connection_class=Late)
    try:
        await connection.execute("create table written (word text unique)")
        yield connection
    finally:
        connection.terminate()


async def written(turns: Turns, word: str) -> None:
    async with turns.transaction() as connection:
        await connection.execute("insert into written values ($1)", word)


async def words(pool: asyncpg.Pool) -> list[str]:
    return [row["word"] for row in await pool.fetch("select word from written order by word")]


async def test_what_is_written_after_somebody_was_cancelled_at_the_beginning_stays_written(
    connection: Late, pool: asyncpg.Pool
) -> None:
    turns = Turns(connection)
    cancelled, waiting = asyncio.create_task(written(turns, "no")), asyncio.create_task(written(turns, "waited"))
    await connection.has_begun.wait()
    cancelled.cancel()
    connection.may_be_heard.set()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await waiting
    await written(turns, "came later")
    assert await words(pool) == ["came later", "waited"]
    assert not connection.is_in_transaction()


async def test_what_fails_is_not_written_and_stops_nobody(connection: Late, pool: asyncpg.Pool) -> None:
    turns = Turns(connection)
    connection.may_be_heard.set()
    await written(turns, "once")
    with pytest.raises(asyncpg.UniqueViolationError):
        await written(turns, "once")
    await written(turns, "then")
    assert await words(pool) == ["once", "then"]


async def test_a_lost_connection_is_told_as_one(connection: Late) -> None:
    connection.terminate()
    with pytest.raises(FAILED):
        await written(Turns(connection), "no")
