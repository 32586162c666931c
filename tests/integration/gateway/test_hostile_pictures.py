"""A picture that kills its decoder, or asks for more than there is, is refused with words; the next one is shown."""

from __future__ import annotations

import io
import signal
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest
from fastapi import FastAPI
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from pacs_gateway.apart import Apart, Limits
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import kept, study_of
from tests.integration.gateway.serving import Somebody, application, client_of

SMALL = Limits(processor_secs=20, wall_secs=60.0, memory_bytes=64 * 1024**2)


@pytest.fixture
async def app(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[FastAPI]:
    app = application(pool, objects, Somebody())
    yield app
    await app.state.imaging.close()


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_decoder_that_dies_is_said_to_have_died_of_that_picture_and_the_next_is_shown(
    gateway: Gateway,
    browser: httpx.AsyncClient,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    deadly = await kept(gateway, objects, radiograph())
    harmless = await kept(gateway, objects, radiograph())
    done = Apart.done

    async def killed(self: Apart, limits: Limits, *_: object, **__: object) -> object:
        return await done(self, limits, signal.raise_signal, number)

    with monkeypatch.context() as dying:
        dying.setattr(Apart, "done", killed)
        answer = await browser.get(f"{deadly}/rendered")
        assert answer.status_code == 500
        assert "a library died of it" in answer.text
        assert (await browser.get(f"{study_of(deadly)}/thumbnail")).status_code == 404
    assert (await browser.get(f"{harmless}/rendered")).headers["content-type"] == "image/png"
    assert (await browser.get(f"{deadly}/rendered")).status_code == 200  # nothing was kept of the failure


async def test_pictures_that_ask_for_more_than_there_is_are_refused_with_words(
    gateway: Gateway,
    app: FastAPI,
    browser: httpx.AsyncClient,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app.state.imaging._pictures, "_limits", SMALL)
    bombs = {
        "of four thousand million pixels": radiograph(Rows=65535, Columns=65535),
        "whose JPEG says another size": compressed(radiograph(), huge_jpeg(), JPEGBaseline8Bit),
        "whose JPEG 2000 says another size": compressed(radiograph(), huge_jpeg_2000(), JPEG2000Lossless),
        "whose RLE never ends": compressed(radiograph(), bytes(64) + b"\x81\0" * 1000, RLELossless),
        "that inflates to much more than it is": inflating(radiograph()),
    }
    told = {}
    for what, file in bombs.items():
        answer = await browser.get(f"{await kept(gateway, objects, file)}/rendered")
        told[what] = answer.status_code
        assert answer.json()["detail"], what
    assert set(told.values()) <= {406, 500}, told
    assert told["that inflates to much more than it is"] == 500
    many = await kept(gateway, objects, radiograph(NumberOfFrames=str(2**31 - 1)))
    assert (await browser.get(f"{many}/frames/{2**30}/rendered")).status_code in (400, 406)
    assert (await browser.get(f"{await kept(gateway, objects, radiograph())}/rendered")).status_code == 200


def huge_jpeg() -> bytes:
    small = bytearray(encoded("JPEG"))
    at = small.index(b"\xff\xc0")
    struct.pack_into(">HH", small, at + 5, 65500, 65500)
    return bytes(small)


def huge_jpeg_2000() -> bytes:
    small = bytearray(encoded("JPEG2000", no_jp2=True))
    at = small.index(b"\xff\x51")
    struct.pack_into(">II", small, at + 6, 60_000, 60_000)
    struct.pack_into(">II", small, at + 22, 60_000, 60_000)
    return bytes(small)


def encoded(format_: str, **options: bool) -> bytes:
    written = io.BytesIO()
    Image.new("L", (16, 16)).save(written, format_, **options)
    return written.getvalue()


def compressed(file: Path, picture: bytes, syntax: UID) -> Path:
    dataset = pydicom.dcmread(file)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = encapsulate([picture + b"\0" * (len(picture) % 2)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(file)
    return file


def inflating(file: Path) -> Path:
    """A hundred megabytes in a hundred kilobytes."""
    dataset = pydicom.dcmread(file)
    dataset.PixelData = bytes(100 * 1024**2)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(file)
    return file
