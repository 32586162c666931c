"""Several processes find out that an object is gone, at once or later: a person hears of it once."""

from __future__ import annotations

import asyncio

import asyncpg

from engine.store import imaging, object_troubles
from tests.integration.gateway.sending import until
from tests.integration.gateway.test_stored_at_once import waits_or_is_done
from tests.integration.whole.conftest import START, instance

GONE = instance(1, START)


async def told(pool: asyncpg.Pool) -> int:
    number: int = await pool.fetchval("select count(*) from finding where code = 'object-missing'")
    return number


async def tell(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await object_troubles.object_is_missing(connection, GONE.location, START)


async def test_who_finds_it_out_at_the_same_moment_tells_nothing_more(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as one:
        async with one.transaction():
            await imaging.record(one, "imaging", [GONE])
        mine = one.transaction()
        await mine.start()
        await object_troubles.object_is_missing(one, GONE.location, START)
        theirs = asyncio.create_task(tell(pool))
        await until(lambda: waits_or_is_done(pool, theirs))
        await mine.commit()
        await theirs
    assert await told(pool) == 1
    await tell(pool)
    assert await told(pool) == 1
