"""An error that nobody foresaw costs one message its way, never the others theirs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from engine import config, outcomes, pipeline
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.config import Community
from engine.envelope import Envelope, EnvelopeIds
from engine.intake import JournalIntake
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.understanding import Understood, understand
from tests.integration.faults.community import community
from tests.integration.faults.messages import register
from tests.integration.faults.serving import hub_folder

IDS = EnvelopeIds(secrets.randbits)
NAME = "石秀英"


@pytest.fixture
def town() -> Iterator[Community]:
    with hub_folder(community({"his": {}, "asking": {"acknowledge": "when_processed"}})) as folder:
        yield config.load(folder / "community")


@pytest.fixture
async def accepting(town: Community, database_url: str) -> AsyncIterator[JournalIntake]:
    accepting = JournalIntake(database_url, {c.name: c for c in town.mllp_channels}, now, IDS)
    await accepting.start()
    yield accepting
    await accepting.close()


async def answered(accepting: JournalIntake, channel: str, payload: bytes) -> bytes | None:
    done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    accepting.submit(channel, "10.0.0.1:40000", payload, done.set_result)
    async with asyncio.timeout(60):
        return await done


async def test_a_message_that_breaks_us_is_held_without_its_words_and_the_others_of_its_batch_go_on(
    town: Community,
    accepting: JournalIntake,
    database_url: str,
    pool: asyncpg.Pool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def break_on_the_third(envelope: Envelope, town: Community, mappings: MappingSet) -> Understood:
        if envelope.control_id == "S.3":
            raise RuntimeError(f"{NAME} broke it")
        return understand(envelope, town, mappings)

    monkeypatch.setattr(pipeline, "understand", break_on_the_third)
    for number in range(1, 6):
        assert await answered(accepting, "his", register(f"S{number}", f"S.{number}"))
    worker = Pipeline(database_url, town, mappings_of(town), now, IDS)
    async with pool.acquire() as connection:
        while await worker.run_batch(connection):
            pass
    rows = await pool.fetch(
        """
        select j.control_id, coalesce(o.state, i.state) as state, f.code
        from journal j left join outcome o on o.envelope = j.id left join inbox i on i.envelope = j.id
             left join finding f on f.envelope = j.id
        order by j.control_id
        """
    )
    assert [tuple(row) for row in rows] == [
        ("S.1", "processed", None),
        ("S.2", "processed", None),
        ("S.3", "held", pipeline.UNEXPECTED),
        ("S.4", "processed", None),
        ("S.5", "processed", None),
    ]
    assert "RuntimeError" in await pool.fetchval("select text from finding")
    assert NAME not in caplog.text + await pool.fetchval("select text from finding")


async def test_a_sender_whose_answer_takes_too_long_is_let_go_unanswered_and_its_message_stays(
    accepting: JournalIntake, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "OUTCOME_SECS", 0.05)
    assert await answered(accepting, "asking", register("S6", "S.6")) is None
    assert await pool.fetchval("select state from inbox") == "accepted"
