"""Several workers over one journal, on a clock that never lets a postponed envelope wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.recording import record
from engine.understanding import understand
from tests.integration.engine.conftest import Hub


def hurried_clock() -> Callable[[], datetime]:
    """Ten seconds pass at each look, so what is postponed may run at the next one."""
    looks = 0

    def clock() -> datetime:
        nonlocal looks
        looks += 1
        return now() + timedelta(seconds=10 * looks)

    return clock


async def run_together(hub: Hub, community: Community, mappings: MappingSet, workers: int) -> None:
    """Runs until nothing is left to run; each worker has its own connection."""
    clock = hurried_clock()

    async def work() -> None:
        pipeline = Pipeline(hub.url, community, mappings, clock, hub.ids)
        connection = await asyncpg.connect(hub.url)
        try:
            while await connection.fetchval("select count(*) from inbox where state = 'accepted'"):
                await pipeline.run_batch(connection)
        finally:
            await connection.close()

    async with asyncio.timeout(300):
        await asyncio.gather(*(work() for _ in range(workers)))


async def recorded(hub: Hub, connection: asyncpg.Connection, community: Community, mappings: MappingSet) -> None:
    """Records, in the connection's open transaction, the next envelope that nobody has claimed."""
    from engine.store import inbox

    claimed = await inbox.claim(connection, 1, now())
    walks = [understand(one.envelope, community, mappings) for one in claimed]
    await record(connection, walks, community, hub.ids, now())


async def blocked(pool: asyncpg.Pool, task: asyncio.Task[Any]) -> None:
    """Returns once the statement of a task waits for somebody else's lock."""
    async with asyncio.timeout(60):
        while not await pool.fetchval(
            "select exists (select from pg_locks l join pg_stat_activity a using (pid) "
            "where not l.granted and a.datname = current_database())"
        ):
            if task.done():
                task.result()
                raise AssertionError("it waited for nobody")
            await asyncio.sleep(0)


def started(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)
