"""A study is judged by one process in the moment in which another adds what changes the judgement: nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg

from engine.store import imaging, wholeness
from engine.store.announcements import Announced
from engine.store.wholeness import State
from pacs_gateway.whole.judging import Patience, judge
from tests.integration.gateway.sending import until
from tests.integration.whole.conftest import CHANNEL, SERIES, STUDY, Scene, instance, uid

OTHER = "1.2.4"
PATIENCE = Patience(timedelta(seconds=CHANNEL.whole_after_secs), timedelta(seconds=CHANNEL.short_after_secs))


@asynccontextmanager
async def being_judged(scene: Scene) -> AsyncIterator[None]:
    """What is known of the study has been read; it is judged by that at the end."""
    async with scene.pool.acquire() as connection, connection.transaction():
        facts = await wholeness.facts(connection, STUDY, "baishi")
        assert facts is not None
        yield
        judged = judge(facts, PATIENCE, False, scene.now)
        assert judged is not None
        await wholeness.keep(connection, STUDY, "baishi", judged, scene.now)


async def begun(pool: asyncpg.Pool, doing: Coroutine[None, None, object]) -> asyncio.Task[object]:
    """It is done, or waits for another."""
    task = asyncio.create_task(doing)

    async def is_done_or_waits() -> bool:
        waits: bool = await pool.fetchval(
            """
            select exists (select from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock')
            """
        )
        return waits or task.done()

    await until(is_done_or_waits)
    return task


async def test_a_study_is_judged_again_when_what_it_misses_falls_quiet_elsewhere_while_it_is_judged(
    scene: Scene,
) -> None:
    watcher = scene.watcher()
    await scene.store(1)
    await scene.announce([Announced(uid(1), SERIES, STUDY), Announced(uid(2), SERIES, STUDY)])
    scene.after(60)
    assert await scene.judged(watcher) is State.SHORT
    async with being_judged(scene):
        coming = await begun(scene.pool, scene.store(2, study=OTHER))
    await coming
    scene.after(300)
    assert await scene.judged(watcher) is State.WHOLE


async def test_what_has_its_row_while_its_study_is_judged_whole_is_late(scene: Scene) -> None:
    watcher, behind = scene.watcher(), instance(1, scene.now)
    scene.after(1)
    await scene.store(2)
    scene.after(300)
    async with being_judged(scene):
        coming = await begun(scene.pool, scene.record([behind]))
    await coming
    assert await scene.judged(watcher) is State.LATE
    async with scene.pool.acquire() as connection:
        assert await wholeness.late_instances(connection, STUDY, "baishi") == [uid(1)]


async def test_a_study_does_not_become_whole_while_more_of_it_is_being_added(scene: Scene) -> None:
    watcher, behind = scene.watcher(), instance(1, scene.now)
    scene.after(1)
    await scene.store(2)
    scene.after(300)
    async with scene.pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, CHANNEL.name, [behind])
        looking = await begun(scene.pool, watcher.look())
    await looking
    assert await scene.pool.fetchval("select whole_at from study_state") is None
