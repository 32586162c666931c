"""Several processes watch one channel: each study and step is told of by one at a time, and never by what is older."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from engine import clock
from engine.ports import Accepted
from engine.steps import COMPLETED, IN_PROGRESS, PerformedStep, read
from engine.store import imaging, performed_steps
from engine.store.performed_steps import Message
from pacs_gateway import notice, stepping
from pacs_gateway.notice import Noticer
from pacs_gateway.stepping import StepNoticer
from tests.integration.gateway.conftest import RecordingIntake
from tests.integration.gateway.sending import PATIENCE_SECS, until
from tests.integration.whole.conftest import START, instance

ONE, OTHER = "1.2.3", "1.2.4"


class SlowIntake(RecordingIntake):
    """Takes what it is told only once it may."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def accept_manifest(self, **call: Any) -> Accepted:
        self._asked.set()
        await self.may_go_on.wait()
        return await super().accept_manifest(**call)

    async def was_asked(self) -> None:
        async with asyncio.timeout(PATIENCE_SECS):
            await self._asked.wait()


class Processes:
    """What tells the engine in each of them; all of it ends with the test."""

    def __init__(self, pool: asyncpg.Pool, stack: AsyncExitStack) -> None:
        self._pool = pool
        self._stack = stack

    def studies(self, intake: RecordingIntake) -> Noticer:
        noticer = Noticer(self._pool, intake, "imaging", 0.0, clock.now)
        self._stack.push_async_callback(noticer.close)
        noticer.start()
        return noticer

    def steps(self, intake: RecordingIntake) -> StepNoticer:
        noticer = StepNoticer(self._pool, intake, "imaging")
        self._stack.push_async_callback(noticer.close)
        noticer.start()
        return noticer


@pytest.fixture
async def processes(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    for module in (notice, stepping):
        monkeypatch.setattr(module, "LOOK_SECS", 0.02)
    async with AsyncExitStack() as stack:
        yield Processes(pool, stack)


async def store(pool: asyncpg.Pool, study: str, *numbers: int) -> None:
    """Objects of a study, all of which came long ago."""
    found = [replace(instance(number, START, study=study), sop_uid=f"{study}.{number}") for number in numbers]
    async with pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, "imaging", found)


def instances(intake: RecordingIntake, study: str) -> list[int]:
    """How many each of its manifests names."""
    told = [json.loads(one.payload) for one in intake.submitted if one.study_uid == study]
    return [sum(len(series["instances"]) for series in manifest["series"]) for manifest in told]


async def all_are_noticed(pool: asyncpg.Pool) -> bool:
    left: bool = await pool.fetchval("select exists (select from study where noticed_revision < revision)")
    return not left


async def test_no_process_submits_a_manifest_while_another_submits_an_older_one(
    pool: asyncpg.Pool, processes: Processes
) -> None:
    slow, quick = SlowIntake(), RecordingIntake()
    await store(pool, ONE, 1)
    processes.studies(slow)
    await slow.was_asked()
    await store(pool, ONE, 2)
    await store(pool, OTHER, 1)
    processes.studies(quick)
    await quick.of(OTHER)  # looked at after the other study
    assert instances(quick, ONE) == []
    slow.may_go_on.set()
    await until(lambda: all_are_noticed(pool))
    assert instances(slow, ONE)[0] == 1
    assert sorted(instances(slow, ONE)[1:] + instances(quick, ONE)) == [2]


async def test_a_study_that_a_process_has_told_of_meanwhile_is_not_told_of_again(
    pool: asyncpg.Pool, processes: Processes
) -> None:
    """It was seen waiting by both before one of them told of it."""
    slow, quick = SlowIntake(), RecordingIntake()
    await store(pool, OTHER, 1)
    await store(pool, "1.2.5", 1)
    processes.studies(slow)  # waits with the first study, and has seen the second
    await slow.was_asked()
    processes.studies(quick)
    await quick.of("1.2.5")
    slow.may_go_on.set()
    await until(lambda: all_are_noticed(pool))
    await store(pool, ONE, 1)
    await until(lambda: all_are_noticed(pool))
    assert [instances(slow, uid) + instances(quick, uid) for uid in (OTHER, "1.2.5", ONE)] == [[1], [1], [1]]


async def test_another_process_tells_of_a_study_when_the_one_that_did_is_gone(
    pool: asyncpg.Pool, processes: Processes
) -> None:
    slow, quick = SlowIntake(), RecordingIntake()
    await store(pool, ONE, 1)
    gone = processes.studies(slow)
    await slow.was_asked()
    await gone.close()
    processes.studies(quick)
    await quick.of(ONE)
    await until(lambda: all_are_noticed(pool))


async def begin(pool: asyncpg.Pool, uid: str) -> PerformedStep:
    step = PerformedStep(uid, "baishi", IN_PROGRESS, [])
    async with pool.acquire() as connection, connection.transaction():
        assert await performed_steps.create(connection, step, Message("imaging", "CT@h:1", "1.2", b""), START)
    return step


async def end(pool: asyncpg.Pool, step: PerformedStep) -> None:
    ended = msgspec.structs.replace(step, state=COMPLETED)
    async with pool.acquire() as connection, connection.transaction():
        await performed_steps.change(connection, ended, Message("imaging", "CT@h:1", "1.2", b""), START)


def states(intake: RecordingIntake, step: str) -> list[str]:
    return [read(one.payload).state for one in intake.submitted if one.study_uid == step]


async def all_steps_are_noticed(pool: asyncpg.Pool) -> bool:
    left: bool = await pool.fetchval("select exists (select from performed_step where noticed_revision < revision)")
    return not left


async def test_no_process_tells_that_a_step_has_ended_while_another_tells_that_it_began(
    pool: asyncpg.Pool, processes: Processes
) -> None:
    slow, quick = SlowIntake(), RecordingIntake()
    step = await begin(pool, ONE)
    processes.steps(slow)
    await slow.was_asked()
    await end(pool, step)
    await begin(pool, OTHER)
    processes.steps(quick)
    await quick.of(OTHER)  # looked at after the other step
    assert states(quick, ONE) == []
    slow.may_go_on.set()
    await until(lambda: all_steps_are_noticed(pool))
    assert states(slow, ONE)[0] == IN_PROGRESS
    assert states(slow, ONE)[1:] + states(quick, ONE) == [COMPLETED]


async def test_another_process_tells_of_a_step_when_the_one_that_did_is_gone(
    pool: asyncpg.Pool, processes: Processes
) -> None:
    slow, quick = SlowIntake(), RecordingIntake()
    await begin(pool, ONE)
    gone = processes.steps(slow)
    await slow.was_asked()
    await gone.close()
    processes.steps(quick)
    await quick.of(ONE)
    await until(lambda: all_steps_are_noticed(pool))
