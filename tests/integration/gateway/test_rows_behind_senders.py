"""Rows follow the answers: in a pause of the senders, else soon, else when too much waits, or for who asks at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.store import imaging
from engine.store.imaging import Instance
from pacs_gateway import indexing
from pacs_gateway.keeping import Keeping
from tests.integration.gateway.conftest import Open, Write
from tests.integration.gateway.sending import indexed, keep, until

NEVER_SECS = 3600


@pytest.fixture(autouse=True)
def no_pause_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "LULL_SECS", NEVER_SECS)
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", NEVER_SECS)


@pytest.fixture
async def keeping(open_keeping: Open) -> AsyncIterator[Keeping]:
    keeping = await open_keeping()
    yield keeping
    await keeping.settled()


@pytest.mark.parametrize(
    ("limit", "value"),
    [("LULL_SECS", 0.05), ("SENDERS_FIRST_SECS", 0.05), ("SENDERS_FIRST_BYTES", 1)],
    ids=["until they pause", "for some time", "for some bytes"],
)
async def test_senders_go_first(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(indexing, limit, value)
    await keep(keeping, radiograph())

    async def has_its_row() -> bool:
        return len(await indexed(pool)) == 1

    await until(has_its_row)


async def test_who_asks_waits_for_no_pause_and_the_rows_come_in_few_commits(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    record = imaging.record

    async def counted(connection: asyncpg.Connection, channel: str, batch: list[Instance]) -> None:
        commits.append(len(batch))
        await record(connection, channel, batch)

    monkeypatch.setattr(imaging, "record", counted)
    for _ in range(20):
        await keep(keeping, radiograph())
    assert commits == []
    await keeping.settled()
    assert commits == [20]
    assert len(await indexed(pool)) == 20
