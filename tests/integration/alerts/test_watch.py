"""Of several processes one watches; when it ends another goes on, and nothing is told twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from tests.integration.alerts.conftest import Scene


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - another connection does it: no event crosses
            await asyncio.sleep(0.02)


async def test_one_leads_and_its_successor_tells_nothing_again(scene: Scene, pool: asyncpg.Pool) -> None:
    scene.set(look_every_secs=0.05, gather_secs=0.0)
    await scene.held(5)
    first, second = (asyncio.create_task(scene.watch().run()) for _ in range(2))

    async def told() -> bool:
        return bool(scene.told.notices)

    async def second_told() -> bool:
        return len(scene.told.events) == 2

    async def leaders() -> int:
        number: int = await pool.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and granted "
            "and database = (select oid from pg_database where datname = current_database())"
        )
        return number

    try:
        await until(told)
        assert await leaders() == 1
        pids = await pool.fetch("select pid from pg_locks where locktype = 'advisory' and granted")
        for row in pids:  # the leader loses its connection: it, or the other one, goes on
            await pool.execute("select pg_terminate_backend($1)", row["pid"])
        await until(leaders)
        await scene.held(1, code="other")

        async def second_incident() -> bool:
            return len(await scene.incidents()) == 2

        await until(second_incident)
        await until(second_told)
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert scene.told.events == [("opened", "held"), ("opened", "held")]
    assert [event["code"] for notice in scene.told.notices for event in notice.events] == ["no-mapping", "other"]
