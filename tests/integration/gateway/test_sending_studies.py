"""What a system is owed of a study arrives there, whatever the system does meanwhile, and arrives once."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydicom.uid import CTImageStorage

from engine.store.watching import endpoints_seen
from pacs_gateway.gateway import Gateway
from pacs_gateway.sending import courier
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.owing import ENDPOINT, attempts, delivery_reaches, endpoint, owe_study, sending, system
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, data_set_of, send_raw, stored, until
from tests.integration.gateway.storescp import storescp
from tests.integration.gateway.study_of_six import STUDY, six, stored_study, uid

COERCED = 0xB000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC001
NOT_SUPPORTED = 0x0122


@pytest.fixture
def files(radiograph: Write) -> list[Path]:
    return six(radiograph)


@pytest.fixture
async def study(gateway: Gateway, files: list[Path], pool: asyncpg.Pool, objects: Path) -> list[str]:
    return await stored_study(gateway, files, pool, objects)


async def test_the_bytes_that_came_are_the_bytes_that_go(
    study: list[str], files: list[Path], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    await owe_study(pool, STUDY)
    with system(free_port) as pacs:
        async with sending(database_url, objects, endpoint(free_port)):
            delivery = await delivery_reaches(pool, "delivered", STUDY)
    assert pacs.offered == study
    assert [pacs.held[one] for one in study] == [data_set_of(file) for file in files]
    assert json.loads(delivery["receipt"]) == {"objects": 6, "arrived": 6, "sent": 6, "notes": {}}


async def test_a_study_that_has_grown_is_owed_again_and_only_what_is_new_goes(
    gateway: Gateway, study: list[str], radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path,
    free_port: int
) -> None:  # fmt: skip
    with system(free_port) as pacs:
        async with sending(database_url, objects, endpoint(free_port)):
            await owe_study(pool, STUDY)
            await delivery_reaches(pool, "delivered", STUDY)
            more = radiograph(StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.1.1", SOPInstanceUID=uid(7))
            assert await asyncio.to_thread(send_raw, gateway.port, [more]) == [SUCCESS]
            await stored(pool, objects)
            await owe_study(pool, STUDY)
            delivery = await delivery_reaches(pool, "delivered", STUDY)
            await owe_study(pool, STUDY)  # and once more, with nothing that is new
            nothing = await delivery_reaches(pool, "delivered", STUDY)
    assert pacs.offered == [*study, uid(7)]
    assert json.loads(delivery["receipt"])["sent"] == 1
    assert json.loads(nothing["receipt"]) == {"objects": 7, "arrived": 7, "sent": 0, "notes": {}}


async def test_a_warning_is_told_and_the_object_has_arrived(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port) as pacs:
        pacs.answers = {uid(2): [COERCED], uid(4): [COERCED]}
        await owe_study(pool, STUDY)
        async with sending(database_url, objects, endpoint(free_port)):
            delivery = await delivery_reaches(pool, "delivered", STUDY)
    assert pacs.offered == study
    assert json.loads(delivery["receipt"])["notes"] == {"B000, it changed elements of the object": 2}
    assert await pool.fetchval("select count(*) from finding") == 0


@pytest.mark.parametrize("status", [MISMATCH, CANNOT_UNDERSTAND, NOT_SUPPORTED])
async def test_what_is_refused_for_good_is_told_and_keeps_nothing_else_from_arriving(
    status: int, study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port) as pacs:
        pacs.answers = {uid(2): [status]}
        await owe_study(pool, STUDY)
        async with sending(database_url, objects, endpoint(free_port)):
            delivery = await delivery_reaches(pool, "refused", STUDY)
            assert sorted(pacs.held) == [one for one in study if one != uid(2)]
            finding = await pool.fetchrow("select * from finding")
            assert finding["code"] == "delivery-refused"
            assert finding["about"] == f"Delivery/{delivery['id']}"
            assert f"5 of 6 objects have arrived; 1 refused: {status:04X}" in finding["text"]
            # A person has mended it there, and has it sent again: only what is missing goes.
            await pool.execute("update delivery set state = 'owed'")
            await delivery_reaches(pool, "delivered", STUDY)
    assert pacs.offered == [*study, uid(2)]


async def test_a_system_without_resources_gets_the_rest_when_it_has_them(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port) as pacs:
        pacs.answers = {uid(3): [OUT_OF_RESOURCES] * 3}
        await owe_study(pool, STUDY)
        async with sending(database_url, objects, endpoint(free_port)):
            await delivery_reaches(pool, "delivered", STUDY)
    assert Counter(pacs.offered) == Counter([*study, *[uid(3)] * 3])
    assert await attempts(pool) == ["out-of-resources"] * 3 + ["delivered"]


async def test_a_system_that_aborts_within_a_study_gets_what_it_has_not_answered(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port) as pacs:
        aborted: list[str] = []

        def abort(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(4) and not aborted:
                aborted.append(uid(4))
                event.assoc.abort()

        pacs.before = abort
        await owe_study(pool, STUDY)
        async with sending(database_url, objects, endpoint(free_port)):
            await delivery_reaches(pool, "delivered", STUDY)
    assert Counter(pacs.offered) == Counter([*study, uid(4)])
    assert (await attempts(pool))[-1] == "delivered"


async def test_a_system_that_falls_silent_is_left_and_called_again(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port) as pacs:
        over = threading.Event()

        def wait(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(2) and pacs.offered.count(uid(2)) == 1:
                over.wait()

        pacs.before = wait
        await owe_study(pool, STUDY)
        try:
            async with sending(database_url, objects, endpoint(free_port, answer_timeout_secs=3)):
                await delivery_reaches(pool, "delivered", STUDY)
        finally:
            over.set()
    assert set(pacs.held) == set(study)
    assert "no-answer" in await attempts(pool)


async def test_a_system_that_does_not_know_us_is_told_of_by_its_reason(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port):
        await owe_study(pool, STUDY)
        async with sending(database_url, objects, endpoint(free_port, ae_title="OTHER")):
            await until(lambda: _attempted(pool))
    detail = await pool.fetchval("select detail from delivery_attempt limit 1")
    assert "it does not go by the title by which we call it (ae_title)" in detail


async def _attempted(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("select count(*) from delivery_attempt"))


async def test_a_class_that_is_not_taken_is_refused_and_told_by_its_name(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    with system(free_port, classes=[CTImageStorage]) as pacs:
        await owe_study(pool, STUDY)
        async with sending(database_url, objects, endpoint(free_port)):
            delivery = await delivery_reaches(pool, "refused", STUDY)
    assert pacs.offered == []
    text = await pool.fetchval("select text from finding where about = $1", f"Delivery/{delivery['id']}")
    assert "6 refused: it does not take the SOP class Computed Radiography Image" in text


async def test_a_storescp_that_is_killed_within_a_study_gets_the_rest_when_it_is_back(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int,
    tmp_path: Path
) -> None:  # fmt: skip
    folder = tmp_path / "received"
    pixels = os.urandom(256 * 256 * 2)
    files = [
        radiograph(StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.1.1", SOPInstanceUID=uid(number),
                   InstanceNumber=number, Rows=256, Columns=256, BitsStored=16, HighBit=15, PixelData=pixels)
        for number in range(1, 41)
    ]  # fmt: skip
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await stored(pool, objects)
    await owe_study(pool, STUDY)
    pacs = partial(storescp, folder, free_port, "-aet", "PACS", "+xa", "-v")
    async with sending(database_url, objects, endpoint(free_port, max_bytes_per_sec=4_000_000)):
        async with pacs() as said:
            await until(lambda: _some_arrived(folder))
        received = [said.read_bytes().count(b"Received Store Request")]
        async with pacs() as said:
            await delivery_reaches(pool, "delivered", STUDY)
        received.append(said.read_bytes().count(b"Received Store Request"))
    assert 0 < received[0] < 40
    assert 40 <= sum(received) <= 41  # the one that was under way may have been written and not answered
    assert {path.name.partition(".")[2] for path in folder.iterdir()} == {uid(number) for number in range(1, 41)}


async def _some_arrived(folder: Path) -> bool:
    return len(list(folder.iterdir())) >= 5


async def test_couriers_that_end_within_a_study_go_on_where_they_stopped(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int,
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(courier, "IDLE_SECS", PATIENCE_SECS)  # nobody else looks for something to do when they end
    await owe_study(pool, STUDY)
    reached, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    with system(free_port) as pacs:

        def answer_the_third_too_late(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(3):
                loop.call_soon_threadsafe(reached.set)
                over.wait()

        pacs.before = answer_the_third_too_late
        try:
            async with sending(database_url, objects, endpoint(free_port)), asyncio.timeout(PATIENCE_SECS):
                await reached.wait()
        finally:
            over.set()
        async with sending(database_url, objects, endpoint(free_port)):
            await delivery_reaches(pool, "delivered", STUDY)
    assert pacs.offered == [*study[:3], *study[2:]]
    assert sorted(pacs.held) == study


async def test_one_process_sends_and_another_goes_on_when_that_one_is_gone(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    await owe_study(pool, STUDY)
    reached, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    with system(free_port) as pacs:

        def answer_the_third_too_late(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(3):
                loop.call_soon_threadsafe(reached.set)
                over.wait()

        pacs.before = answer_the_third_too_late
        try:
            async with AsyncExitStack() as first:
                await first.enter_async_context(sending(database_url, objects, endpoint(free_port)))
                async with asyncio.timeout(PATIENCE_SECS):
                    await reached.wait()
                async with sending(database_url, objects, endpoint(free_port)):
                    await until(partial(_wants_to_lead, pool))
                    await first.aclose()
                    over.set()
                    await delivery_reaches(pool, "delivered", STUDY)
        finally:
            over.set()
    assert pacs.offered == [*study[:3], *study[2:]]
    assert sorted(pacs.held) == study


async def _wants_to_lead(pool: asyncpg.Pool) -> bool:
    """Whether somebody has asked for the lead, and has not got it: who has goes on with other statements."""
    asked: bool = await pool.fetchval(
        "select exists (select from pg_stat_activity "
        "where datname = current_database() and query like 'select pg_try_advisory_lock%')"
    )
    return asked


async def test_only_a_study_that_was_tried_in_vain_shows_that_its_system_is_away(
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    async def seen() -> list[str]:
        async with pool.acquire() as connection:
            return [one.last_error for one in await endpoints_seen(connection, [ENDPOINT])]

    await owe_study(pool, STUDY)
    assert await seen() == []
    async with sending(database_url, objects, endpoint(free_port)):
        await until(lambda: _attempted(pool))
        assert await seen() == ["unreachable"]
