"""Rows follow the answers: in a pause of the senders, else soon, else when too much waits, or for who asks at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from engine import clock
from engine.store import imaging
from engine.store.imaging import Instance
from pacs_gateway import indexing
from pacs_gateway.keeping import Keeping
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import indexed, keep, until

NEVER_SECS = 3600


@pytest.fixture(autouse=True)
def no_pause_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "LULL_SECS", NEVER_SECS)
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", NEVER_SECS)


@pytest.fixture
async def keeping(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[Keeping]:
    keeping = Keeping("imaging", pool, objects, clock.now, os.urandom, lambda: None)
    await keeping.start()
    yield keeping
    await keeping.settled()
    await keeping.close()


async def rows(pool: asyncpg.Pool, count: int) -> None:
    async def so_many() -> bool:
        return len(await indexed(pool)) == count

    await until(so_many)


async def test_a_pause_of_the_senders_is_enough(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "LULL_SECS", 0.05)
    await keep(keeping, radiograph())
    await rows(pool, 1)


async def test_senders_without_a_pause_go_first_for_some_time_only(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", 0.05)
    await keep(keeping, radiograph())
    await rows(pool, 1)


async def test_senders_without_a_pause_go_first_for_some_bytes_only(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "SENDERS_FIRST_BYTES", 1)
    await keep(keeping, radiograph())
    await rows(pool, 1)


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
