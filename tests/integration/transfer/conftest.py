"""Two hubs of one database, told apart by the facility: one that has a study, and one that gets it over a bad line."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pydicom
import pytest
from fastapi import FastAPI, Request, Response
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from starlette.middleware.base import RequestResponseEndpoint

from engine import clock
from engine.api.refusals import refusal_of, response_of
from engine.config import DicomChannel, Role
from engine.errors import HutongError
from engine.ports import Accepted
from engine.store import imaging
from engine.store.imaging import Instance
from engine.store.imaging_outbox import StudyOwed
from pacs_gateway import indexing, shelving
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.keeping import Keeping
from pacs_gateway.location import Objects
from pacs_gateway.scp.reception import Announced
from pacs_gateway.sending.outcome import Outcome
from pacs_gateway.transfer import chunks, outgoing
from pacs_gateway.transfer.contents import Contents
from pacs_gateway.transfer.incoming import Incoming
from pacs_gateway.transfer.outgoing import Outgoing, Sent
from pacs_gateway.transfer.routes import router
from pacs_gateway.transfer.stream import Stream
from tests.integration.gateway.sending import data_set_of
from tests.integration.transfer.attempting import attempted

CHANNEL = DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", quiet_secs=0.1)
SENDS, RECEIVES = "baishi", "county"


class Township:
    """The user whose token the sending hub has."""

    name = "baishi-hub"
    facility = RECEIVES
    roles: tuple[Role, ...] = (Role.SENDER,)


class Manifests:
    """An intake that counts what it is given."""

    def __init__(self) -> None:
        self.count = 0

    async def accept_manifest(self, **call: Any) -> Accepted:
        self.count += 1
        return Accepted(uuid4(), b"")

    async def accept_step(self, **call: Any) -> Accepted:
        raise AssertionError("nobody performs a step here")


class Hub:
    """The receiving hub, which can be ended and started again on what it left."""

    def __init__(self, pool: asyncpg.Pool, objects: Path) -> None:
        self.pool = pool
        self.objects = objects
        self.manifests = Manifests()
        self.at = timedelta()
        self.app = FastAPI()
        self.posted: Posted | None = None

    @property
    def folder(self) -> Path:
        return self.objects / "transfers"

    async def start(self) -> None:
        self.posted = Posted((CHANNEL,), self.pool, self.manifests, self.objects, clock.now)
        await self.posted.start()
        self.incoming = Incoming(self.pool, self.posted, self.folder, CHANNEL.name, lambda: clock.now() + self.at)
        self.app = application(self.incoming)

    async def close(self) -> None:
        if self.posted is not None:
            await self.posted.close()
            self.posted = None

    async def again(self) -> None:
        await self.close()
        await self.start()

    async def rows(self) -> list[Instance]:
        async with self.pool.acquire() as connection:
            found = await connection.fetch("select distinct study_uid from instance where facility = $1", RECEIVES)
            return [
                one for row in found for one in await imaging.study_instances(connection, row["study_uid"], RECEIVES)
            ]


def application(incoming: Incoming, caller: type[Township] | None = Township) -> FastAPI:
    app = FastAPI()
    app.include_router(router(incoming))

    async def tell(request: Request, error: Exception) -> Response:
        return response_of(refusal_of(error), request.scope)

    app.add_exception_handler(HutongError, tell)

    @app.middleware("http")
    async def ask(request: Request, answer: RequestResponseEndpoint) -> Response:
        if caller is not None:
            request.scope["caller"] = caller
        return await answer(request)

    return app


class BadLine(httpx.AsyncBaseTransport):
    """Carries requests to a hub; `fate` says what becomes of each: None, `before` or `after` it was taken it breaks."""

    def __init__(self, hub: Hub, fate: Callable[[httpx.Request], str | None] = lambda _: None) -> None:
        self.hub = hub
        self.fate = fate
        self.requests: list[tuple[str, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fate = self.fate(request)
        self.requests.append((request.method, len(request.content)))
        if fate == "before":
            raise httpx.ConnectError("the line is cut", request=request)
        answer = await httpx.ASGITransport(self.hub.app).handle_async_request(request)
        await answer.aread()
        if fate == "after":
            raise httpx.ReadError("the line is cut", request=request)
        return answer


class Archive:
    """The sending hub: what it has, and an attempt to send it."""

    def __init__(self, objects: Path, instances: Sequence[Instance]) -> None:
        self.objects = Objects(objects)
        self.instances = list(instances)

    @property
    def study(self) -> Contents:
        return Stream(self.objects, self.instances).contents(self.instances[0].study_uid)

    async def send(self, line: httpx.AsyncBaseTransport, may_go_on: Callable[[], bool] = lambda: True) -> Sent:
        async def progress(name: str, done: int, total: int) -> None:
            assert done <= total

        stream = Stream(self.objects, self.instances)
        try:
            sender = Outgoing("http://hub", "token", 20.0, transport=line)
            return await sender.send(self.study, stream, may_go_on, progress)
        finally:
            stream.close()


async def performed(
    pool: asyncpg.Pool, archive: Archive, line: httpx.AsyncBaseTransport, may_go_on: Callable[[], bool] = lambda: True
) -> Outcome:
    """One attempt at a delivery of the study that the index has."""
    return await attempted(pool, archive.objects, StudyOwed(SENDS, archive.instances[0].study_uid), line, may_go_on)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for a quiet moment, and pieces are short enough for several to an object."""
    monkeypatch.setattr(shelving, "QUIET_SECS", 0.01)
    monkeypatch.setattr(shelving, "READ_SECS", 0.01)
    monkeypatch.setattr(indexing, "RETRY_SECS", 0.01)
    monkeypatch.setattr(outgoing, "FIRST_PAUSE_SECS", 0.001)
    monkeypatch.setattr(outgoing, "FIRST_CHUNK_BYTES", 20_000)
    monkeypatch.setattr(outgoing, "SMALLEST_CHUNK_BYTES", 5_000)
    monkeypatch.setattr(outgoing, "QUICK_SECS", 1000.0)
    monkeypatch.setattr(outgoing, "SLOW_SECS", 1000.0)
    monkeypatch.setattr(chunks, "CHUNK_LIMIT_BYTES", 80_000)


@pytest.fixture
async def hub(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub(pool, tmp_path / "county")
    await hub.start()
    yield hub
    await hub.close()


@pytest.fixture
async def archive(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[Archive]:
    """Twelve small images and one of 180 KB, of one study."""
    keeping = Keeping("sending", pool, tmp_path / "baishi", clock.now, os.urandom, lambda: None)
    await keeping.start()
    study = generate_uid()
    for number in range(13):
        await stored(keeping, image(tmp_path / f"{number}.dcm", study, number))
    await keeping.settled()
    async with pool.acquire() as connection:
        instances = await imaging.study_instances(connection, study, SENDS)
    assert len(instances) == 13
    yield Archive(tmp_path / "baishi", instances)
    await keeping.close()


def image(file: Path, study: str, number: int) -> Path:
    """A real CT image under other names; the last of them has noise that no compression shortens."""
    source = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(source, str)
    made = pydicom.dcmread(source)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = study, f"{study[:50]}.1"
    made.InstanceNumber = number
    if number == 12:
        made.Rows, made.Columns, made.PixelData = 300, 300, os.urandom(180_000)
    made.save_as(file)
    return file


async def stored(keeping: Keeping, file: Path) -> None:
    sent = pydicom.dcmread(file, stop_before_pixels=True)
    arriving = keeping.reception.begin(
        Announced(
            sop_class_uid=str(sent.SOPClassUID),
            sop_instance_uid=str(sent.SOPInstanceUID),
            transfer_syntax_uid=str(sent.file_meta.TransferSyntaxUID),
            calling_ae="CT",
            called_ae="HUTONG",
            facility=SENDS,
            peer="CT@h:1",
        )
    )
    arriving.write([memoryview(data_set_of(file))])
    await arriving.finish()


def digests(instances: Sequence[Instance]) -> dict[str, str]:
    return {one.sop_uid: one.sha256.hex() for one in instances}


def hash_of(data: bytes) -> str:
    return sha256(data).hexdigest()
