"""What a modality says of one step comes to any of several gateways: it holds once, and is told on in its order."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from engine.steps import COMPLETED, read
from pacs_gateway import notifying
from tests.integration.gateway.conftest import RecordingIntake, Start
from tests.integration.gateway.listening import Listener
from tests.integration.gateway.performing import begun, change, create, ended
from tests.integration.gateway.sending import SUCCESS, until

STEP = "1.2.3.5"
DUPLICATE, PROCESSING_FAILURE = 0x0111, 0x0110


async def test_of_two_gateways_that_are_told_the_same_at_once_one_takes_it(
    start: Start, pool: asyncpg.Pool, intake: RecordingIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "IDLE_SECS", 0.05)
    ris = Listener()
    with ris.listening():
        ports = [(await start(endpoints={"ris": ris.endpoint()})).port for _ in range(2)]
        created = await asyncio.gather(*(asyncio.to_thread(create, port, begun(), STEP) for port in ports))
        assert sorted(answer.Status for answer in created) == [SUCCESS, DUPLICATE]
        changed = await asyncio.gather(*(asyncio.to_thread(change, port, ended(), STEP) for port in ports))
        assert sorted(answer.Status for answer in changed) == [SUCCESS, PROCESSING_FAILURE]

        async def both_are_heard() -> bool:
            return len(ris.heard) == 2

        await until(both_are_heard)

        async def all_is_told() -> bool:
            return not await pool.fetchval("select count(*) from performed_step where noticed_revision < revision")

        await until(all_is_told)
    assert [(operation, uid) for operation, uid, _ in ris.heard] == [("create", STEP), ("set", STEP)]
    states = [read(one.payload).state for one in intake.submitted]
    assert states[-1] == COMPLETED
    assert len(states) == len(set(states))
