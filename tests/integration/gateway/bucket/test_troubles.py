"""Whatever becomes of the service, or of the line to it, no object is lost, and a person hears of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest

from engine.store import watching
from engine.studies import study_id
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.bucket.conftest import Begin
from tests.integration.gateway.bucket.moving import are_whole, findings, pictures, send, settled, until
from tests.integration.gateway.bucket.service import Service
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import path_of
from tests.integration.gateway.sending import OUT_OF_RESOURCES, SUCCESS, data_set_of, indexed, spooled
from tests.integration.gateway.test_getting import CR, UNABLE_TO_PERFORM, fetch
from tests.integration.gateway.test_querying import identifier


async def test_a_service_that_is_killed_half_way_gets_everything_once_it_is_back(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, caplog: pytest.LogCaptureFixture
) -> None:
    files = pictures(radiograph, 31)
    sending = asyncio.create_task(send(gateway, files[1:]))

    async def some_are_there() -> bool:
        return len(service.keys()) >= 5

    await until(some_are_there)
    await service.kill()
    assert await sending == [SUCCESS] * 30
    assert await send(gateway, files[:1]) == [SUCCESS]

    async def told() -> bool:
        return "objects stay in the spool" in caplog.text

    await until(told)
    await service.start()
    await settled(objects)
    assert are_whole(service, files)


async def test_while_the_service_is_away_objects_are_taken_and_handed_out_and_a_person_hears_of_it(
    gateway: Gateway,
    service: Service,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    viewer: httpx.AsyncClient,
    told_at_once: None,
) -> None:
    await service.kill()
    files = pictures(radiograph, 4)
    assert await send(gateway, files) == [SUCCESS] * 4

    async def told() -> bool:
        return len(await findings(pool, "objects-not-moved")) == 1

    await until(told)
    (finding,) = await findings(pool, "objects-not-moved")
    assert (finding["severity"], finding["channel"], finding["settled_at"]) == ("error", "imaging", None)
    assert "cannot be reached" in finding["text"]
    async with pool.acquire() as connection:
        (trouble,) = await watching.errors_seen(connection, ())
    assert (trouble.subject, trouble.code) == ("imaging", "objects-not-moved")
    assert len(spooled(objects)) == 4
    instance = await viewer.get(path_of(files[0]), headers={"accept": "application/dicom"})
    assert instance.content.endswith(data_set_of(files[0]))

    await service.start()
    await settled(objects)

    async def ended() -> bool:
        return all(one["settled_at"] is not None for one in await findings(pool, "objects-not-moved"))

    await until(ended)
    assert are_whole(service, files)


async def test_an_object_that_comes_back_spoilt_stays_in_the_spool_until_it_comes_back_as_it_was(
    gateway: Gateway,
    service: Service,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    told_at_once: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.line.spoil = True
    files = pictures(radiograph, 2)
    assert await send(gateway, files) == [SUCCESS] * 2

    async def told() -> bool:
        return "another hash" in "".join(one["text"] for one in await findings(pool, "objects-not-moved"))

    await until(told)
    assert len(spooled(objects)) == 2
    service.line.spoil = False
    await settled(objects)
    assert are_whole(service, files)


async def test_a_slow_service_is_not_felt_by_who_sends(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write
) -> None:
    service.line.hold.clear()
    files = pictures(radiograph, 10)
    assert await send(gateway, files) == [SUCCESS] * 10
    assert len(spooled(objects)) == 10
    service.line.hold.set()
    await settled(objects)
    assert are_whole(service, files)


async def test_a_line_that_is_cut_again_and_again_loses_nothing(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write
) -> None:
    files = pictures(radiograph, 30)
    sending = asyncio.create_task(send(gateway, files))
    for count in range(1, 6):

        async def so_many(count: int = count) -> bool:
            return len(service.keys()) >= 4 * count

        await until(so_many)
        service.line.cut()
    assert await sending == [SUCCESS] * 30
    await settled(objects)
    assert are_whole(service, files)


async def test_with_wrong_keys_objects_wait_and_go_once_the_keys_are_right(
    begin: Begin,
    service: Service,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    told_at_once: None,
) -> None:
    wrong = service.store(secret_key="another-secret-key")
    gateway = await begin(wrong)
    files = pictures(radiograph, 2)
    assert await send(gateway, files) == [SUCCESS] * 2

    async def told() -> bool:
        return "refuses these keys" in "".join(one["text"] for one in await findings(pool, "objects-not-moved"))

    await until(told)
    await gateway.close()
    wrong.close()
    assert len(spooled(objects)) == 2
    await begin()
    await settled(objects)
    assert are_whole(service, files)


async def test_an_object_that_vanishes_later_is_missed_aloud(
    gateway: Gateway,
    service: Service,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    viewer: httpx.AsyncClient,
) -> None:
    (file,) = files = pictures(radiograph, 1)
    await send(gateway, files)
    await settled(objects)
    (key,) = service.keys()
    await asyncio.to_thread(service.remove, key)
    answers = [await viewer.get(path_of(file), headers={"accept": "application/dicom"}) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json()["detail"] == "the object is not in the store"
    one = pydicom.dcmread(file, stop_before_pixels=True)
    asked = identifier("STUDY", StudyInstanceUID=str(one.StudyInstanceUID))
    got = await asyncio.to_thread(fetch, gateway.port, asked, [(CR, [pydicom.uid.ExplicitVRLittleEndian])])
    assert (got.status, got.failed) == (UNABLE_TO_PERFORM, [one.SOPInstanceUID])

    async def told() -> bool:
        return bool(await findings(pool, "object-missing"))

    await until(told)
    (finding,) = await findings(pool, "object-missing")
    assert (finding["severity"], finding["channel"]) == ("error", "imaging")
    assert (finding["about"], finding["location"]) == (
        f"ImagingStudy/{study_id('baishi', one.StudyInstanceUID)}",
        f"Instance/{one.SOPInstanceUID}",
    )

    await send(gateway, files)
    await settled(objects)
    answer = await viewer.get(path_of(file), headers={"accept": "application/dicom"})
    assert answer.content.endswith(data_set_of(file))


async def test_a_full_spool_refuses_and_goes_on_when_the_service_is_back(
    begin: Begin, service: Service, pool: asyncpg.Pool, small_disk: Path, radiograph: Write
) -> None:
    await service.kill()
    gateway = await begin(folder=small_disk)
    files = [radiograph(PixelData=bytes([n]) * 1_000_000, Rows=500, Columns=1000) for n in range(8)]
    statuses = await send(gateway, files)
    taken = [file for file, status in zip(files, statuses, strict=True) if status == SUCCESS]
    refused = [file for file in files if file not in taken]
    assert set(statuses) == {SUCCESS, OUT_OF_RESOURCES}

    async def all_indexed() -> bool:
        return len(await indexed(pool)) == len(taken)

    await until(all_indexed)
    await service.start()
    await settled(small_disk)
    assert are_whole(service, taken)

    async def all_taken() -> bool:
        again = await send(gateway, refused)
        refused[:] = [file for file, status in zip(refused, again, strict=True) if status != SUCCESS]
        return not refused

    await until(all_taken)
    await settled(small_disk)
    assert are_whole(service, files)
