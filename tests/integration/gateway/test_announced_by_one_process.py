"""Several processes tell others what is available here: each change of a study once, and none is lost between two."""

from __future__ import annotations

import asyncio

import asyncpg

from engine.store import availability
from tests.integration.gateway.sending import until
from tests.integration.gateway.test_stored_at_once import waits_or_is_done

STUDY = ("1.2.3", "baishi")


async def change(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await availability.changed(connection, *STUDY, "imaging")


async def test_what_changes_while_a_process_tells_of_it_is_told_of_again(pool: asyncpg.Pool) -> None:
    await change(pool)
    async with pool.acquire() as one, pool.acquire() as other:
        telling = one.transaction()
        await telling.start()
        assert await availability.take_changed(one, "imaging", 20) == [STUDY]
        assert await availability.take_changed(other, "imaging", 20) == []
        changing = asyncio.create_task(change(pool))
        await until(lambda: waits_or_is_done(pool, changing))
        await telling.commit()
        await changing
        assert await availability.take_changed(other, "imaging", 20) == [STUDY]


async def test_what_a_process_was_telling_when_it_was_killed_is_told_by_another(pool: asyncpg.Pool) -> None:
    await change(pool)
    async with pool.acquire() as one, pool.acquire() as other:
        telling = one.transaction()
        await telling.start()
        assert await availability.take_changed(one, "imaging", 20) == [STUDY]
        one.terminate()

        async def is_left() -> bool:
            return await availability.take_changed(other, "imaging", 20) == [STUDY]

        await until(is_left)
