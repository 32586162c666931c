"""Objects go from the spool into a bucket of a real S3 service, and from there to whoever asks; whatever fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest

from adapters.objects import s3
from adapters.objects.s3 import S3ObjectStore
from engine import clock
from engine.cli.doctor import State, object_store
from engine.config import load
from engine.config.objects import S3Objects
from engine.store import watching
from engine.studies import study_id
from pacs_gateway import waiting
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.bucket import ACCESS_KEY, BUCKET, SECRET_KEY, Service
from tests.integration.gateway.conftest import RecordingIntake, Run, Write, channel, running
from tests.integration.gateway.sending import (
    OUT_OF_RESOURCES,
    SUCCESS,
    data_set_of,
    indexed,
    send_raw,
    spooled,
)
from tests.integration.gateway.serving import Somebody, application, client_of
from tests.integration.gateway.test_getting import CR, UNABLE_TO_PERFORM, fetch
from tests.integration.gateway.test_querying import identifier

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
KEY = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/baishi/\1\2[0-9a-f]{60}\.dcm")
Begin = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path / "s3")
    await service.start()
    yield service
    await service.close()


@pytest.fixture
async def store(service: Service) -> AsyncIterator[S3ObjectStore]:
    store = service.store()
    yield store
    store.close()


@pytest.fixture
async def begin(
    pool: asyncpg.Pool, intake: RecordingIntake, objects: Path, store: S3ObjectStore
) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:

        async def begin(of: S3ObjectStore = store, folder: Path = objects) -> Gateway:
            gateway = Gateway(channel(), pool, intake, folder, clock.now, None, of)
            return await stack.enter_async_context(running(gateway))

        yield begin


@pytest.fixture
async def gateway(begin: Begin) -> Gateway:
    return await begin()


@pytest.fixture
async def viewer(pool: asyncpg.Pool, objects: Path, store: S3ObjectStore) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(pool, objects, Somebody(), store=store)) as client:
        yield client


@pytest.fixture
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TOLD_AFTER_SECS", 0.0)


def pictures(radiograph: Write, count: int) -> list[Path]:
    """Objects of some kilobytes, which say PIXELS somewhere in their pixels."""
    pixels = (b"PIXELS" + bytes(3994)) * 2
    return [radiograph(InstanceNumber=n, Rows=40, Columns=100, PixelData=pixels) for n in range(count)]


async def send(gateway: Gateway, files: Sequence[Path]) -> list[int]:
    return await asyncio.to_thread(send_raw, gateway.port, files)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Looks seldom: the line to the service runs on this loop, too."""
    async with asyncio.timeout(60):
        while not await reached():  # noqa: ASYNC110 - other processes bring it about, without an event
            await asyncio.sleep(0.05)


async def settled(objects: Path) -> None:
    """Waits until the spool is empty."""

    async def empty() -> bool:
        return not spooled(objects)

    await until(empty)


def are_whole(service: Service, files: Sequence[Path]) -> bool:
    """Whether the bucket holds these objects, byte for byte, and nothing else."""
    return sorted(service.data_sets()) == sorted(map(data_set_of, files))


async def findings(pool: asyncpg.Pool, code: str) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await pool.fetch("select * from finding where code = $1", code)
    return found


def address(file: Path) -> str:
    one = pydicom.dcmread(file, stop_before_pixels=True)
    return f"/dicomweb/studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"


async def test_objects_leave_the_spool_for_the_bucket_under_keys_that_tell_nothing_of_a_patient(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write
) -> None:
    files = pictures(radiograph, 20)
    assert await send(gateway, files) == [SUCCESS] * 20
    await settled(objects)
    assert are_whole(service, files)
    assert all(KEY.fullmatch(key) for key in service.keys())  # noqa: SIM118 - no mapping
    assert not (objects / "store").exists()


async def test_a_large_object_goes_in_parts(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 1024 * 1024)  # the least that the protocol allows
    file = radiograph(Rows=3000, Columns=2000, PixelData=bytes(range(250)) * 48_000)
    assert await send(gateway, [file]) == [SUCCESS]
    await settled(objects)
    assert are_whole(service, [file])


async def test_a_viewer_gets_objects_metadata_and_pictures_from_the_bucket(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, viewer: httpx.AsyncClient
) -> None:
    (file,) = files = pictures(radiograph, 1)
    await send(gateway, files)
    await settled(objects)
    instance = await viewer.get(address(file), headers={"accept": "application/dicom"})
    assert instance.content.endswith(data_set_of(file))
    metadata = await viewer.get(f"{address(file)}/metadata")
    assert metadata.json()[0]["00100020"]["Value"] == ["P0001"]
    picture = await viewer.get(f"{address(file)}/rendered")
    assert picture.headers["content-type"] == "image/png"
    study = await viewer.get(address(file).partition("/series")[0])
    assert data_set_of(file) in study.content


async def test_one_frame_is_fetched_without_the_object(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, viewer: httpx.AsyncClient
) -> None:
    frames = [bytes([number]) * 500_000 for number in range(40)]
    file = radiograph(NumberOfFrames=40, Rows=500, Columns=500, PixelData=b"".join(frames))
    await send(gateway, [file])
    await settled(objects)
    service.line.answered = 0
    answer = await viewer.get(f"{address(file)}/frames/35", headers={"accept": "application/octet-stream"})
    assert answer.content == frames[34]
    assert service.line.answered < 2_000_000


async def test_workstations_get_objects_from_the_bucket_by_c_get(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write
) -> None:
    files = pictures(radiograph, 3)
    await send(gateway, files)
    await settled(objects)
    one = pydicom.dcmread(files[0], stop_before_pixels=True)
    asked = identifier("STUDY", StudyInstanceUID=str(one.StudyInstanceUID))
    got = await asyncio.to_thread(fetch, gateway.port, asked, [(CR, [pydicom.uid.ExplicitVRLittleEndian])])
    assert got.status == SUCCESS
    assert list(got.objects.values()) == [data_set_of(files[0])]


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
    instance = await viewer.get(address(files[0]), headers={"accept": "application/dicom"})
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
    answers = [await viewer.get(address(file), headers={"accept": "application/dicom"}) for _ in range(3)]
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
    answer = await viewer.get(address(file), headers={"accept": "application/dicom"})
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


async def test_what_was_kept_on_the_disk_before_is_read_from_there(
    pool: asyncpg.Pool, intake: RecordingIntake, objects: Path, radiograph: Write, viewer: httpx.AsyncClient
) -> None:
    (file,) = files = pictures(radiograph, 1)
    async with running(Gateway(channel(), pool, intake, objects, clock.now)) as gateway:
        await send(gateway, files)
        await settled(objects)
    instance = await viewer.get(address(file), headers={"accept": "application/dicom"})
    assert pydicom.dcmread(BytesIO(instance.content)).PatientID == "P0001"


async def test_doctor_tries_the_bucket_and_says_what_is_wrong_with_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTONG_TEST_RIGHT", SECRET_KEY)
    monkeypatch.setenv("HUTONG_TEST_WRONG", "another-secret-key")
    monkeypatch.setenv("HUTONG_TEST_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.delenv("HUTONG_TEST_ABSENT", raising=False)
    at = f"http://127.0.0.1:{service.line.port}"

    async def told(secret: str = "RIGHT", bucket: str = BUCKET) -> tuple[bool, str]:
        keys = {"access_key": "env:HUTONG_TEST_ACCESS_KEY", "secret_key": f"env:HUTONG_TEST_{secret}"}
        place = S3Objects.model_validate({"type": "s3", "address": at, "bucket": bucket, **keys})
        (check,) = await asyncio.to_thread(object_store, load(EXAMPLE).model_copy(update={"objects": place}))
        return check.state is State.GOOD, f"{check.found} {check.mend}"

    assert (await told())[0]
    for wrong, said in (
        ({"secret": "WRONG"}, "SignatureDoesNotMatch"),
        ({"secret": "ABSENT"}, "env:HUTONG_TEST_ABSENT is empty"),
        ({"bucket": "elsewhere"}, "no such bucket"),
    ):
        good, text = await told(**wrong)
        assert not good
        assert said in text
        assert "another-secret-key" not in text
    service.line.down = True
    assert "cannot be reached" in (await told())[1]


async def test_dcmtk_finds_nothing_strange_in_what_comes_from_a_bucket(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, dcmtk: Run
) -> None:
    await send(gateway, pictures(radiograph, 1))
    await settled(objects)
    (key,) = service.keys()
    said = await dcmtk("dcmdump", service.bucket / key)
    assert said.code == 0
    assert "P0001" in said.output
