"""What a system is owed of a study arrives there, whatever the system does meanwhile, and arrives once."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from engine.store.imaging_outbox import ROUTINE, URGENT
from engine.store.watching import endpoints_seen
from pacs_gateway.gateway import Gateway
from pacs_gateway.query.identifier import decoded
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.owing import ENDPOINT, delivery_reaches, endpoint, owe_study, sending, system
from tests.integration.gateway.sending import SUCCESS, broken_off, data_set_of, real, send_raw, stored, until
from tests.integration.gateway.storescp import storescp

STUDY = "1.2.1"
COERCED = 0xB000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC001
NOT_SUPPORTED = 0x0122


def uid(number: int) -> str:
    return f"1.2.1.1.{number}"


@pytest.fixture
def files(radiograph: Write) -> list[Path]:
    """A study of six."""
    return [
        radiograph(
            StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.1.1", SOPInstanceUID=uid(number), InstanceNumber=number
        )
        for number in range(1, 7)
    ]  # fmt: skip


@pytest.fixture
async def study(gateway: Gateway, files: list[Path], pool: asyncpg.Pool, objects: Path) -> list[str]:
    """It is stored; the UIDs of its objects."""
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await stored(pool, objects)
    return [uid(number) for number in range(1, 7)]


async def attempts(pool: asyncpg.Pool) -> list[str]:
    return [row["outcome"] for row in await pool.fetch("select outcome from delivery_attempt order by at")]


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
    study: list[str], pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    await owe_study(pool, STUDY)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    with system(free_port) as pacs:

        def stop_at_the_third(event: Any) -> None:
            if event.request.AffectedSOPInstanceUID == uid(3):
                loop.call_soon_threadsafe(reached.set)

        pacs.before = stop_at_the_third
        async with sending(database_url, objects, endpoint(free_port, max_bytes_per_sec=4096)):
            await reached.wait()
        assert len(set(pacs.offered)) < 6
        async with sending(database_url, objects, endpoint(free_port)):
            await delivery_reaches(pool, "delivered", STUDY)
    assert sorted(pacs.held) == study
    assert all(number <= 1 or one == uid(3) or one == uid(4) for one, number in Counter(pacs.offered).items())


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


@pytest.mark.parametrize("name", ["JPEG2000", "emri_small_jpeg_ls_lossless", "image_dfl", "ExplVR_BigEnd"])
async def test_what_is_stored_compressed_goes_as_it_is(
    name: str, gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    assert await asyncio.to_thread(send_raw, gateway.port, [real(name)]) == [SUCCESS]
    (row,) = (await stored(pool, objects)).values()
    await owe_study(pool, row["study_uid"])
    with system(free_port) as pacs:
        async with sending(database_url, objects, endpoint(free_port)):
            await delivery_reaches(pool, "delivered", row["study_uid"])
    assert pacs.syntaxes[row["sop_uid"]] == row["transfer_syntax"]
    assert pacs.held[row["sop_uid"]] == data_set_of(real(name))


@pytest.mark.parametrize(
    ("wanted", "syntax"),
    [("jpeg-ls", JPEGLSLossless), ("jpeg2000", JPEG2000Lossless), ("htj2k", HTJ2KLossless), ("rle", RLELossless)],
)
async def test_over_a_thin_line_pictures_go_smaller_and_the_same(
    wanted: str, syntax: str, study: list[str], gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path,
    free_port: int
) -> None:  # fmt: skip
    small, report = await _stored_too(gateway, pool, objects, real("CT_small"), real("reportsi"))
    with system(free_port) as pacs:
        async with sending(database_url, objects, endpoint(free_port, transfer_syntax=wanted)):
            for row in (small, report):
                await owe_study(pool, row["study_uid"])
                await delivery_reaches(pool, "delivered", row["study_uid"])
    assert pacs.syntaxes == {small["sop_uid"]: syntax, report["sop_uid"]: report["transfer_syntax"]}
    arrived = decoded(pacs.held[small["sop_uid"]], syntax)
    arrived.file_meta = FileMetaDataset()
    arrived.file_meta.TransferSyntaxUID = UID(syntax)
    assert len(pacs.held[small["sop_uid"]]) < small["bytes"]
    assert np.array_equal(arrived.pixel_array, pydicom.dcmread(real("CT_small")).pixel_array)


async def test_a_system_without_decoders_gets_what_it_can_read_and_is_told_of_what_it_cannot(
    gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int, tmp_path: Path
) -> None:
    good, bad = await _stored_too(gateway, pool, objects, real("JPEG2000"), broken_off("JPEG-lossy", tmp_path))
    with system(free_port, syntaxes=[ImplicitVRLittleEndian]) as pacs:
        async with sending(database_url, objects, endpoint(free_port)):
            await owe_study(pool, good["study_uid"])
            delivery = await delivery_reaches(pool, "refused", bad["study_uid"])  # they are of one study
    assert pacs.syntaxes == {good["sop_uid"]: ImplicitVRLittleEndian}
    arrived = decoded(pacs.held[good["sop_uid"]], ImplicitVRLittleEndian)
    arrived.file_meta = FileMetaDataset()
    arrived.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert np.array_equal(arrived.pixel_array, pydicom.dcmread(real("JPEG2000")).pixel_array)
    text = await pool.fetchval("select text from finding where about = $1", f"Delivery/{delivery['id']}")
    assert "1 of 2 objects have arrived; 1 refused: it does not take the encoding, and it cannot be changed" in text


async def _stored_too(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, *files: Path
) -> tuple[asyncpg.Record, asyncpg.Record]:
    assert await asyncio.to_thread(send_raw, gateway.port, files) == [SUCCESS] * len(files)
    rows = await stored(pool, objects)
    uids = [str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID) for file in files]
    return rows[uids[0]], rows[uids[1]]
