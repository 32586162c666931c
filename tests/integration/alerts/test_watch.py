"""Of several processes one watches; when it ends another goes on, and nothing is told twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from engine.alerts import watch as watching
from tests.integration.alerts.conftest import Scene


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110 - another connection does it: no event crosses
            await asyncio.sleep(0.02)


async def test_one_leads_and_its_successor_tells_nothing_again(
    scene: Scene, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LEAD_SECS", 0.05)
    monkeypatch.setattr(watching, "_RECONNECT_SECS", 0.05)
    scene.set(look_every_secs=0.05, gather_secs=0.0)
    await scene.held(5)
    first, second = (asyncio.create_task(scene.watch().run()) for _ in range(2))

    async def told() -> bool:
        """Also kept as sent: what a leader could not note any more its successor rightly sends again."""
        return bool(await pool.fetchval("select count(*) = 1 from alert_notice where state = 'sent'"))

    async def second_told() -> bool:
        return len(scene.told.events) == 2

    async def leaders() -> list[int]:
        rows = await pool.fetch(
            "select pid from pg_locks where locktype = 'advisory' and granted "
            "and database = (select oid from pg_database where datname = current_database())"
        )
        return [row["pid"] for row in rows]

    try:
        await until(told)
        (leader,) = await leaders()
        await pool.execute("select pg_terminate_backend($1)", leader)  # it, or the other one, goes on

        async def another_leads() -> bool:
            return await leaders() not in ([], [leader])

        await until(another_leads)
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
