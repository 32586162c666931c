"""A channel that acknowledges when processed says AA when the records are there, and not a moment earlier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import psutil
import pytest

from tests.integration.faults.clients import Client, msa
from tests.integration.faults.messages import register, result
from tests.integration.faults.serving import START_SECS, Served, until


@pytest.fixture
async def asking(hub: Served) -> AsyncIterator[Client]:
    client = Client(hub.port("asking"))
    yield client
    client.leave()


@asynccontextmanager
async def pipeline_halted(hub: Served) -> AsyncIterator[None]:
    """What is accepted meanwhile is not processed. It is stopped between transactions: its locks would stop others."""
    pipeline = await hub.revived("pipeline")
    try:
        async with hub.database() as database, asyncio.timeout(START_SECS):
            pause = 0.05
            while not await stopped_between_transactions(pipeline, database):
                await asyncio.sleep(pause)  # for the transaction to get on: on a busy machine it takes its time
                pause = min(1.0, 2 * pause)
        yield
    finally:
        pipeline.resume()


async def stopped_between_transactions(pipeline: psutil.Process, database: asyncpg.Connection) -> bool:
    """Suspends it, unless it is in the middle of something."""
    pipeline.suspend()
    await until("it is suspended", lambda: pipeline.status() == psutil.STATUS_STOPPED)
    if await using_lanes(database) == 0:
        return True
    pipeline.resume()
    return False


async def using_lanes(database: asyncpg.Connection) -> int:
    """How many other sessions are in a transaction that has touched what accepted messages wait in."""
    count: int = await database.fetchval(
        """
        select count(distinct pid) from pg_stat_activity join pg_locks using (pid)
        where state <> 'idle' and pid <> pg_backend_pid() and locktype = 'relation'
          and relation in ('inbox'::regclass, 'lane'::regclass, 'journal'::regclass)
        """
    )
    return count


async def journaled(hub: Served, control_id: str) -> int:
    async with hub.database() as database:
        count: int = await database.fetchval("select count(*) from journal where control_id = $1", control_id)
        return count


async def states(hub: Served, control_id: str) -> list[str]:
    async with hub.database() as database:
        rows = await database.fetch(
            "select o.state from outcome o join journal j on j.id = o.envelope where j.control_id = $1", control_id
        )
        return [row["state"] for row in rows]


async def test_the_answer_waits_until_the_records_are_written(hub: Served, asking: Client) -> None:
    async with pipeline_halted(hub):
        answer = asyncio.create_task(asking.ask(register("W1", "W.waits")))
        await until("it is journaled", lambda: journaled(hub, "W.waits"))
        assert not answer.done()
        assert await states(hub, "W.waits") == []
    assert msa(await answer) == ("AA", "W.waits")
    assert await states(hub, "W.waits") == ["processed"]
    async with hub.database() as database:
        assert await database.fetchval(
            "select count(*) from resource r join journal j on j.id = r.envelope where j.control_id = 'W.waits'"
        )


async def test_what_is_refused_is_answered_ae_with_rule_and_place_and_is_processed_anew_when_it_comes_again(
    hub: Served, asking: Client
) -> None:
    payload = result("W2", "W.refused", code="^^")
    first = await asking.ask(payload)
    assert msa(first) == ("AE", "W.refused")
    (error,) = [segment.split(b"|") for segment in first.split(b"\r") if segment.startswith(b"ERR|")]
    assert error[2] == b"OBX^1^3"
    assert error[3].startswith(b"102^")
    assert error[7] == b"rule result-id"
    assert await states(hub, "W.refused") == ["refused"]

    again = await asking.ask(payload)
    assert msa(again) == ("AE", "W.refused")
    assert again != first, "the answer of the first time was kept: nothing was tried again"
    assert await states(hub, "W.refused") == ["refused", "refused"]
    async with hub.database() as database:
        codes = await database.fetch(
            "select distinct code from finding f join journal j on j.id = f.envelope where j.control_id = 'W.refused'"
        )
    assert [row["code"] for row in codes] == ["not-identified"], "the same bytes are no reuse of a control id"
    assert msa(await asking.ask(register("W2", "W.next"))) == ("AA", "W.next"), "what was refused holds up nobody"


async def test_a_repeat_after_aa_gets_the_stored_answer(hub: Served, asking: Client) -> None:
    first = await asking.ask(register("W3", "W.repeated", at="0830"))
    assert await asking.ask(register("W3", "W.repeated", at="0831")) == first
    assert await journaled(hub, "W.repeated") == 1


async def test_a_repeat_that_comes_before_the_answer_gets_the_same_one(hub: Served, asking: Client) -> None:
    payload = register("W4", "W.early")
    other = Client(hub.port("asking"))
    async with pipeline_halted(hub):
        first = asyncio.create_task(asking.ask(payload))
        await until("it is journaled", lambda: journaled(hub, "W.early"))
        again = asyncio.create_task(other.ask(payload))
        assert msa(await Client(hub.port("his")).ask(register("W5", "W.bystander"))) == ("AA", "W.bystander")
    assert await first == await again
    assert msa(await first) == ("AA", "W.early")
    assert await journaled(hub, "W.early") == 1
    other.leave()


async def test_an_answer_outlives_the_database_that_it_waits_for(hub: Served, asking: Client) -> None:
    async with pipeline_halted(hub):
        answer = asyncio.create_task(asking.ask(register("W6", "W.outlives")))
        await until("it is journaled", lambda: journaled(hub, "W.outlives"))
        await hub.kill("postgres")
        await hub.revived("postgres")
        assert not answer.done()
    assert msa(await answer) == ("AA", "W.outlives")
    assert await states(hub, "W.outlives") == ["processed"]
