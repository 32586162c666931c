"""Two processes write rows of one SOP Instance UID at once: the same bytes are a repeat, others are kept apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from engine.store import imaging
from engine.store.imaging import Instance, Standing
from tests.integration.gateway.sending import until
from tests.integration.whole.conftest import START, instance

FIRST = instance(1, START)


@pytest.mark.parametrize(
    ("second", "standing"),
    [
        (FIRST, Standing.REPEAT),
        (instance(1, START, "other pixels"), Standing.CONFLICT),
        (instance(1, START, "another study", study="1.2.4"), Standing.CONFLICT),
    ],
    ids=["the same", "other content", "other content in another study"],
)
async def test_what_a_process_is_about_to_commit_counts_for_the_other(
    pool: asyncpg.Pool, second: Instance, standing: Standing
) -> None:
    async with pool.acquire() as one, pool.acquire() as other:
        mine = one.transaction()
        await mine.start()
        assert await imaging.record(one, "imaging", [FIRST]) == [Standing.NEW]
        theirs = asyncio.create_task(record(other, second))
        await until(lambda: waits_or_is_done(pool, theirs))
        await mine.commit()
        assert await theirs == [standing]
    assert await pool.fetchval("select count(*) from instance where not conflict") == 1


async def test_instances_that_have_nothing_in_common_wait_for_nobody(pool: asyncpg.Pool) -> None:
    other_facility = replace(FIRST, facility="qingxi")
    other_instance = instance(2, START, study="1.2.4")
    async with pool.acquire() as one, pool.acquire() as other, one.transaction():
        assert await imaging.record(one, "imaging", [FIRST]) == [Standing.NEW]
        async with asyncio.timeout(30):
            assert await record(other, other_facility) == [Standing.NEW]
            assert await record(other, other_instance) == [Standing.NEW]


async def record(connection: asyncpg.Connection, one: Instance) -> list[Standing]:
    async with connection.transaction():
        return await imaging.record(connection, "imaging", [one])


async def waits_or_is_done(pool: asyncpg.Pool, task: asyncio.Task[Any]) -> bool:
    """Whether it has come as far as somebody else's transaction lets it."""
    waits = await pool.fetchval("select exists (select from pg_locks where not granted)")
    return waits or task.done()
