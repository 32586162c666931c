"""What was recorded by earlier versions is searchable as today, without anybody asking for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from engine import completion as completion_module
from engine.clock import now
from engine.completion import Completion
from engine.store import completing, records
from engine.store.completing import Place
from engine.store.database import Connection, connect
from engine.store.records import Change
from engine.store.tokens import RULES, of_reference

PATIENT = "Patient/p1"


def condition(number: int) -> dict[str, Any]:
    return {"resourceType": "Condition", "id": f"c{number:03d}", "subject": {"reference": PATIENT}}


async def recorded(pool: asyncpg.Pool, count: int) -> None:
    """As a version recorded them that did not search them by patient."""
    async with pool.acquire() as connection:
        await records.put_many(connection, [Change(condition(n), actor="a") for n in range(count)], now())
    await pool.execute("update resource set tokens = '{_old}'")


async def found(pool: asyncpg.Pool) -> int:
    token = of_reference("subject", PATIENT)
    number: int = await pool.fetchval("select count(*) from resource where tokens @> array[$1]", token)
    return number


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await ask():  # noqa: ASYNC110 - another connection does it
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion_module, "PORTION", 7)
    monkeypatch.setattr(completion_module, "PAUSE_SECS", 0.0)
    monkeypatch.setattr(completion_module, "OTHERS_SECS", 0.01)


async def test_older_rows_are_found_by_their_patient_and_get_no_new_version(
    pool: asyncpg.Pool, database_url: str
) -> None:
    await recorded(pool, 30)
    assert await found(pool) == 0
    await Completion(database_url, now).run()
    assert await found(pool) == 30
    assert await pool.fetchval("select max(version) from resource") == 1
    assert await pool.fetchval("select count(*) from resource_history") == 0
    assert await pool.fetchval("select finished_at is not null from search_completion where rules = $1", RULES)


async def test_what_is_done_is_not_done_again(pool: asyncpg.Pool, database_url: str) -> None:
    await Completion(database_url, now).run()
    await recorded(pool, 3)
    await Completion(database_url, now).run()
    assert await found(pool) == 0, "they were not looked at"


async def test_it_goes_on_where_it_was_left_off(pool: asyncpg.Pool, database_url: str) -> None:
    await recorded(pool, 30)
    async with pool.acquire() as connection:
        assert await completing.complete(connection, Place(), 10, now()) == Place("Condition", "c009")
    await pool.execute("update resource set tokens = '{_old}' where id < 'c005'")
    await Completion(database_url, now).run()
    assert await found(pool) == 25, "the first rows were looked at before"


async def test_another_process_takes_over_from_one_that_died(
    pool: asyncpg.Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(pool, 30)
    first = await connect(database_url)
    assert await completing.take(first)
    refused = asyncio.Event()

    async def taken(connection: Connection, take: Callable[..., Awaitable[bool]] = completing.take) -> bool:
        mine = await take(connection)
        if not mine:
            refused.set()
        return mine

    monkeypatch.setattr(completing, "take", taken)
    other = asyncio.create_task(Completion(database_url, now).run())
    async with asyncio.timeout(60):
        await refused.wait()
    assert await found(pool) == 0, "it is the first one's work"
    first.terminate()
    await asyncio.wait_for(other, 60)
    assert await found(pool) == 30


async def test_a_row_that_is_recorded_anew_meanwhile_keeps_what_it_says_now(pool: asyncpg.Pool) -> None:
    await recorded(pool, 1)
    moved = {**condition(0), "subject": {"reference": "Patient/p2"}}
    async with pool.acquire() as mine, pool.acquire() as theirs:
        writing = theirs.transaction()
        await writing.start()
        await records.put_many(theirs, [Change(moved, actor="b")], now())
        completed = asyncio.create_task(completing.complete(mine, Place(), 10, now()))

        async def waits() -> bool:
            return bool(
                await pool.fetchval(
                    "select exists (select from pg_locks l join pg_stat_activity a using (pid) "
                    "where not l.granted and a.datname = current_database())"
                )
            )

        await until(waits)
        await writing.commit()
        await completed
    assert await found(pool) == 0
    assert await pool.fetchval("select tokens @> array['subject=Patient/p2'] from resource")
