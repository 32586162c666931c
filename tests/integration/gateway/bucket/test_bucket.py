"""Objects go from the spool into a bucket of a real S3 service, and from there to whoever asks."""

from __future__ import annotations

import asyncio
import re
from io import BytesIO
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest

from adapters.objects import s3
from engine import clock
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.bucket.moving import are_whole, pictures, send, settled
from tests.integration.gateway.bucket.service import Service
from tests.integration.gateway.conftest import RecordingIntake, Run, Write, channel, running
from tests.integration.gateway.fetching import path_of
from tests.integration.gateway.sending import SUCCESS, data_set_of
from tests.integration.gateway.test_getting import CR, fetch
from tests.integration.gateway.test_querying import identifier

KEY = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/baishi/\1\2[0-9a-f]{60}\.dcm")


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
    instance = await viewer.get(path_of(file), headers={"accept": "application/dicom"})
    assert instance.content.endswith(data_set_of(file))
    metadata = await viewer.get(f"{path_of(file)}/metadata")
    assert metadata.json()[0]["00100020"]["Value"] == ["P0001"]
    picture = await viewer.get(f"{path_of(file)}/rendered")
    assert picture.headers["content-type"] == "image/png"
    study = await viewer.get(path_of(file).partition("/series")[0])
    assert data_set_of(file) in study.content


async def test_one_frame_is_fetched_without_the_object(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, viewer: httpx.AsyncClient
) -> None:
    frames = [bytes([number]) * 500_000 for number in range(40)]
    file = radiograph(NumberOfFrames=40, Rows=500, Columns=500, PixelData=b"".join(frames))
    await send(gateway, [file])
    await settled(objects)
    service.line.answered = 0
    answer = await viewer.get(f"{path_of(file)}/frames/35", headers={"accept": "application/octet-stream"})
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


async def test_what_was_kept_on_the_disk_before_is_read_from_there(
    pool: asyncpg.Pool, intake: RecordingIntake, objects: Path, radiograph: Write, viewer: httpx.AsyncClient
) -> None:
    (file,) = files = pictures(radiograph, 1)
    async with running(Gateway(channel(), pool, intake, objects, clock.now)) as gateway:
        await send(gateway, files)
        await settled(objects)
    instance = await viewer.get(path_of(file), headers={"accept": "application/dicom"})
    assert pydicom.dcmread(BytesIO(instance.content)).PatientID == "P0001"


async def test_dcmtk_finds_nothing_strange_in_what_comes_from_a_bucket(
    gateway: Gateway, service: Service, objects: Path, radiograph: Write, dcmtk: Run
) -> None:
    await send(gateway, pictures(radiograph, 1))
    await settled(objects)
    (key,) = service.keys()
    said = await dcmtk("dcmdump", service.bucket / key)
    assert said.code == 0
    assert "P0001" in said.output
