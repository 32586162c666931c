"""Objects that are posted (STOW-RS) are kept, found and answered one by one; what is hostile harms nothing else."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pydicom
import pytest
from fastapi import FastAPI

from engine import clock
from engine.config import Role
from pacs_gateway.dicomweb.receiving import Posted
from tests.integration.gateway.conftest import RecordingIntake, Write, channel
from tests.integration.gateway.sending import data_set_of, real, settled, spooled
from tests.integration.gateway.serving import Somebody, application, client_of

SENDER = Somebody("dr-baishi", "baishi", (Role.SENDER,))
RELATED = 'multipart/related; type="application/dicom"; boundary=b'


def related(*files: bytes) -> bytes:
    return b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % file for file in files) + b"--b--\r\n"


@pytest.fixture
async def posted(pool: asyncpg.Pool, intake: RecordingIntake, objects: Path) -> AsyncIterator[Posted]:
    keeping = Posted((channel(),), pool, intake, objects, clock.now)
    await keeping.start()
    yield keeping
    await keeping.close()


@pytest.fixture
async def app(pool: asyncpg.Pool, objects: Path, posted: Posted) -> FastAPI:
    return application(pool, objects, SENDER, posted)


@pytest.fixture
async def sender(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


async def post(client: httpx.AsyncClient, body: Any, path: str = "/studies", **headers: str) -> httpx.Response:
    return await client.post(f"/dicomweb{path}", content=body, headers={"content-type": RELATED, **headers})


def values(answer: httpx.Response, tag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.json().get(tag, {}).get("Value", [])
    return found


def reasons(answer: httpx.Response) -> list[int]:
    return [item["00081197"]["Value"][0] for item in values(answer, "00081198")]


async def test_what_was_posted_is_fetched_as_it_was_sent(
    sender: httpx.AsyncClient, objects: Path, intake: RecordingIntake
) -> None:
    files = [real(name) for name in ("RG1_J2KI", "test-SR", "image_dfl", "ExplVR_BigEnd")]
    answer = await post(sender, related(*(file.read_bytes() for file in files)))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    stored = values(answer, "00081199")
    assert len(stored) == 4
    for file, item in zip(files, stored, strict=True):
        assert item["00081155"]["Value"] == [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID]
        fetched = await sender.get(item["00081190"]["Value"][0], headers={"accept": "application/dicom"})
        assert fetched.content.endswith(data_set_of(file))
    await settled(objects)
    for item in stored:
        fetched = await sender.get(item["00081190"]["Value"][0], headers={"accept": "application/dicom"})
        assert fetched.status_code == 200


async def test_a_posted_study_walks_on_as_one_of_the_senders_facility(
    sender: httpx.AsyncClient, radiograph: Write, intake: RecordingIntake
) -> None:
    file = radiograph()
    assert (await post(sender, related(file.read_bytes()))).status_code == 200
    manifest = await intake.of(pydicom.dcmread(file).StudyInstanceUID)
    assert (manifest.facility, manifest.channel) == ("baishi", "imaging")


async def test_a_single_object_may_be_the_whole_body(sender: httpx.AsyncClient, radiograph: Write) -> None:
    answer = await post(sender, radiograph().read_bytes(), **{"content-type": "application/dicom"})
    assert answer.status_code == 200


async def test_each_object_is_answered_for_itself(sender: httpx.AsyncClient, radiograph: Write) -> None:
    good, other = radiograph().read_bytes(), radiograph().read_bytes()
    cut = radiograph().read_bytes()[:-100]
    unknown = radiograph(SOPClassUID="1.2.3").read_bytes()
    answer = await post(sender, related(good, b"no DICOM at all" * 20, cut, unknown, b"", other))
    assert answer.status_code == 202
    assert reasons(answer) == [0xC000, 0xC000, 0x0122, 0xC000]
    assert len(values(answer, "00081199")) == 2


async def test_nothing_stored_is_a_conflict(sender: httpx.AsyncClient, objects: Path) -> None:
    answer = await post(sender, related(b"x" * 1000))
    assert (answer.status_code, reasons(answer)) == (409, [0xC000])
    assert spooled(objects) == []


async def test_an_object_of_another_study_is_refused(sender: httpx.AsyncClient, radiograph: Write) -> None:
    file = radiograph()
    study = pydicom.dcmread(file).StudyInstanceUID
    assert (await post(sender, related(file.read_bytes()), f"/studies/{study}")).status_code == 200
    answer = await post(sender, related(radiograph().read_bytes()), f"/studies/{study}")
    assert (answer.status_code, reasons(answer)) == (409, [0xA900])


async def test_the_same_object_again_is_stored_once(
    sender: httpx.AsyncClient, radiograph: Write, pool: asyncpg.Pool
) -> None:
    file = radiograph().read_bytes()
    for _ in range(2):
        assert (await post(sender, related(file))).status_code == 200
    assert await pool.fetchval("select count(*) from instance") == 1


async def test_a_body_that_breaks_off_loses_only_the_part_at_which_it_did(
    sender: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    body = related(radiograph().read_bytes(), radiograph().read_bytes())
    answer = await post(sender, body[:-200])
    assert answer.status_code == 202
    assert (len(values(answer, "00081199")), reasons(answer)) == (1, [0xC000])


@pytest.mark.parametrize("broken", ["a header that is none", "cut behind a delimiter", "no closing delimiter"])
async def test_a_body_that_breaks_off_between_two_parts_is_not_said_to_be_stored_whole(
    sender: httpx.AsyncClient, radiograph: Write, broken: str
) -> None:
    files = [radiograph().read_bytes() for _ in range(3)]
    whole = related(*files)
    second = len(related(files[0])) - len(b"--b--\r\n")
    body = {
        "a header that is none": whole[:second] + whole[second:].replace(b"Content-Type: application/dicom", b"bad", 1),
        "cut behind a delimiter": whole[: second + len(b"--b\r\nConte")],
        "no closing delimiter": whole[: second + len(b"--b")],
    }
    answer = await post(sender, body[broken])
    assert answer.status_code == 202
    assert (len(values(answer, "00081199")), reasons(answer)) == (1, [0xC000])


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/related; type=application/dicom", b"--b--", 400),
        (RELATED, b"", 400),
        (RELATED, b"no boundary anywhere", 400),
        (RELATED, b"--b--", 409),
        ("multipart/related; type=application/dicom; boundary=" + "x" * 400, b"", 400),
        ('multipart/related; type="application/dicom+json"; boundary=b', b"--b--", 415),
        ("text/plain", b"hello", 415),
        ("", b"hello", 415),
    ],
)
async def test_a_body_that_is_none_is_refused(
    sender: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    assert (await post(sender, body, **{"content-type": content_type})).status_code == status


async def test_a_part_in_a_part_and_a_lying_length_are_one_refused_part(
    sender: httpx.AsyncClient, radiograph: Write
) -> None:
    nested = b"--b\r\nContent-Type: multipart/related; boundary=c\r\nContent-Length: 3\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n"
    lying = (
        b"--b\r\nContent-Type: application/dicom\r\nContent-Length: 3\r\n\r\n%b\r\n--b--" % radiograph().read_bytes()
    )
    answer = await post(sender, nested + lying)
    assert answer.status_code == 202
    assert (reasons(answer), len(values(answer, "00081199"))) == ([0xC000], 1)


async def test_an_element_that_claims_four_gigabytes_is_refused_when_the_body_ends(
    sender: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    file = bytearray(radiograph().read_bytes())
    at = file.index(b"\xe0\x7f\x10\x00OW")
    file[at + 8 : at + 12] = b"\xfe\xff\xff\xff"
    answer = await post(sender, related(bytes(file)))
    assert (answer.status_code, reasons(answer)) == (409, [0xC000])


async def test_who_may_not_store_does_not(pool: asyncpg.Pool, objects: Path, posted: Posted, radiograph: Write) -> None:
    body = related(radiograph().read_bytes())
    for somebody, status in (
        (None, 401),
        (Somebody("li", "county", (Role.READER, Role.CLINICIAN)), 403),
        (Somebody("Administrator", "", (Role.ADMIN,)), 403),
    ):
        async with client_of(application(pool, objects, somebody, posted)) as client:
            assert (await post(client, body)).status_code == status
    assert await pool.fetchval("select count(*) from instance") == 0


async def test_storing_is_in_the_audit(sender: httpx.AsyncClient, radiograph: Write, pool: asyncpg.Pool) -> None:
    file = radiograph()
    await post(sender, related(file.read_bytes()))
    told = await pool.fetchrow("select actor, action, subject, detail from audit")
    study = pydicom.dcmread(file).StudyInstanceUID
    assert tuple(told) == ("dr-baishi", "store", f"ImagingStudy/{study}", '{"instances": 1}')


async def test_a_body_of_120_megabytes_is_never_in_memory(
    sender: httpx.AsyncClient, radiograph: Write, objects: Path, pool: asyncpg.Pool
) -> None:
    count, size = 8, 15 * 1024 * 1024
    await post(sender, related(radiograph().read_bytes()))  # loads what storing needs
    whole = related(radiograph(PixelData=bytes(16)).read_bytes())
    at = whole.index(b"\xe0\x7f\x10\x00")
    beginning, ending = bytearray(whole[:at]), b"\r\n"
    beginning += b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")
    uid = str(pydicom.dcmread(io.BytesIO(whole.partition(b"\r\n\r\n")[2]), force=True).SOPInstanceUID).encode()

    async def body() -> AsyncIterator[bytes]:
        piece = bytes(256 * 1024)
        for number in range(count):
            yield bytes(beginning).replace(uid, uid[:-2] + b"%02d" % number)
            for _ in range(size // len(piece)):
                yield piece
            yield ending
        yield b"--b--\r\n"

    tracemalloc.start()
    try:
        answer = await post(sender, body())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 200, answer.text
    assert len(values(answer, "00081199")) == count
    assert await pool.fetchval("select count(*) from instance where bytes > $1", size) == count
    assert peak < 16 * 1024 * 1024
