"""The most urgent study goes first, others wait for the hours of their line, and no line is filled beyond its limit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.store.imaging_outbox import ROUTINE, URGENT
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.owing import attempts, delivery_reaches, endpoint, owe_study, sending, system
from tests.integration.gateway.sending import SUCCESS, send_raw, stored, until
from tests.integration.gateway.study_of_six import STUDY, six, stored_study, uid

CANNOT_UNDERSTAND = 0xC001


@pytest.fixture
async def study(gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, objects: Path) -> list[str]:
    return await stored_study(gateway, six(radiograph), pool, objects)


async def test_the_most_urgent_goes_first_and_what_cannot_go_lets_others_pass(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    priorities = {"1.3.1": ROUTINE + 3, "1.3.2": ROUTINE + 1, "1.3.3": ROUTINE, "1.3.4": URGENT + 3, "1.3.5": URGENT}
    files = [radiograph(StudyInstanceUID=one, SOPInstanceUID=f"{one}.9") for one in priorities]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await stored(pool, objects)
    for one, priority in priorities.items():
        await owe_study(pool, one, priority)
    with system(free_port) as pacs:
        pacs.answers = {"1.3.4.9": [CANNOT_UNDERSTAND]}
        async with sending(database_url, objects, endpoint(free_port)):
            for one in priorities:
                await delivery_reaches(pool, "refused" if one == "1.3.4" else "delivered", one)
    assert pacs.offered == ["1.3.5.9", "1.3.4.9", "1.3.3.9", "1.3.2.9", "1.3.1.9"]


async def test_outside_its_window_only_urgent_studies_go(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    files = [radiograph(StudyInstanceUID=one, SOPInstanceUID=f"{one}.9") for one in ("1.3.1", "1.3.2")]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await stored(pool, objects)
    now = [datetime(2030, 1, 1, 4, 0, tzinfo=UTC)]  # noon in China
    await owe_study(pool, "1.3.1", ROUTINE)
    await owe_study(pool, "1.3.2", URGENT)
    with system(free_port) as pacs:
        night = endpoint(free_port, windows=["22:00-06:00"])
        async with sending(database_url, objects, night, lambda: now[0]):
            await delivery_reaches(pool, "delivered", "1.3.2")
            assert pacs.offered == ["1.3.2.9"]
            now[0] = datetime(2030, 1, 1, 21, 59, tzinfo=UTC)  # 05:59 in China
            await delivery_reaches(pool, "delivered", "1.3.1")
    assert pacs.offered == ["1.3.2.9", "1.3.1.9"]
    assert await attempts(pool) == ["delivered", "delivered"]


async def test_a_window_that_closes_within_a_study_keeps_the_rest_for_the_next(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    now = [datetime(2030, 1, 1, 21, 59, tzinfo=UTC)]
    await owe_study(pool, STUDY)
    with system(free_port) as pacs:

        def close(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(2):
                now[0] = datetime(2030, 1, 1, 22, 0, tzinfo=UTC)

        pacs.before = close
        night = endpoint(free_port, windows=["22:00-06:00"])
        async with sending(database_url, objects, night, lambda: now[0]):
            await until(lambda: _taken(pool, 2))
            assert pacs.offered == study[:2]
            now[0] = datetime(2030, 1, 2, 14, 0, tzinfo=UTC)
            await delivery_reaches(pool, "delivered", STUDY)
    assert pacs.offered == study


async def test_an_object_refused_before_the_window_closed_keeps_nothing_from_the_next_window(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    now = [datetime(2030, 1, 1, 21, 59, tzinfo=UTC)]
    await owe_study(pool, STUDY)
    with system(free_port) as pacs:

        def close(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(2):
                now[0] = datetime(2030, 1, 1, 22, 0, tzinfo=UTC)

        pacs.answers = {uid(1): [CANNOT_UNDERSTAND] * 2}
        pacs.before = close
        night = endpoint(free_port, windows=["22:00-06:00"])
        async with sending(database_url, objects, night, lambda: now[0]):
            await until(lambda: _taken(pool, 1))
            assert pacs.offered == study[:2]
            now[0] = datetime(2030, 1, 2, 14, 0, tzinfo=UTC)
            await until(lambda: _taken(pool, 5))
            await delivery_reaches(pool, "refused", STUDY)
    assert pacs.offered == [*study, uid(1)]
    (finding,) = await pool.fetch("select text from finding")
    assert "5 of 6 objects have arrived; 1 refused: C001" in finding["text"]


async def _taken(pool: asyncpg.Pool, number: int) -> bool:
    return bool(await pool.fetchval("select count(*) >= $1 from sent_instance where taken", number))


async def test_a_line_is_not_filled_beyond_its_limit(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    sent_bytes = await pool.fetchval("select sum(bytes)::int from instance")
    await owe_study(pool, STUDY)
    began = asyncio.get_running_loop().time()
    with system(free_port):
        async with sending(database_url, objects, endpoint(free_port, max_bytes_per_sec=10_000)):
            await delivery_reaches(pool, "delivered", STUDY)
    last_slice = 4096  # nobody waits behind the last one
    assert asyncio.get_running_loop().time() - began >= (sent_bytes - last_slice) / 10_000 - 0.05
