"""What the gateway's tests may ask for: a running gateway, DCMTK's commands, synthetic objects."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from engine import clock
from engine.clock import Clock
from engine.config import AeEntry, DicomChannel, DicomEndpoint
from engine.ports import Accepted
from pacs_gateway import indexing, shelving
from pacs_gateway.gateway import Gateway
from pacs_gateway.keeping import Keeping
from pacs_gateway.sending import courier, couriers
from tests.integration.gateway.sending import PATIENCE_SECS
from tests.integration.gateway.serving import Somebody, viewing


@dataclass(frozen=True)
class Submitted:
    """One call of the intake."""

    channel: str
    facility: str
    peer: str
    study_uid: str
    patient_ids: Sequence[str]
    payload: bytes


@dataclass
class RecordingIntake:
    """Accepts every manifest and keeps it."""

    submitted: list[Submitted] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def accept_manifest(self, **call: Any) -> Accepted:
        async with self.changed:
            self.submitted.append(Submitted(**call))
            self.changed.notify_all()
        return Accepted(uuid4(), b"")

    async def accept_step(self, *, step_uid: str, **call: Any) -> Accepted:
        return await self.accept_manifest(study_uid=step_uid, **call)

    async def of(self, study_uid: str, count: int = 1) -> Submitted:
        """The count-th manifest of a study, waited for."""
        async with asyncio.timeout(PATIENCE_SECS), self.changed:
            await self.changed.wait_for(lambda: len(self._found(study_uid)) >= count)
        return self._found(study_uid)[count - 1]

    def _found(self, study_uid: str) -> list[Submitted]:
        return [one for one in self.submitted if one.study_uid == study_uid]


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    output: str


Run = Callable[..., Awaitable[Said]]
Open = Callable[[], Awaitable[Keeping]]
Start = Callable[..., Awaitable[Gateway]]
Write = Callable[..., Path]


@pytest.fixture
def dcmtk() -> Run:
    """Runs a DCMTK command; without TCP_NODELAY Debian's build stalls 40 ms per object on loopback."""

    async def run(*command: str | Path | int) -> Said:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "TCP_NODELAY": "1"},
        )
        async with asyncio.timeout(2 * PATIENCE_SECS):
            output, _ = await process.communicate()
        return Said(process.returncode or 0, output.decode(errors="replace"))

    return run


def channel(**changes: Any) -> DicomChannel:
    settings: dict[str, Any] = {
        "type": "dicom",
        "name": "imaging",
        "ae_title": "HUTONG",
        "port": 0,
        "quiet_secs": 0.2,
        "ae_entries": (
            AeEntry(ae_title="DR_BAISHI", facility="baishi"),
            AeEntry(ae_title="DR_QINGXI", facility="qingxi"),
            AeEntry(ae_title="DR_ELSEWHERE", facility="qingxi", address="192.0.2.7"),
        ),
    }
    return DicomChannel(**{**settings, **changes})


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", mount_point], check=True)
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", "--lazy", mount_point], check=True)


@pytest.fixture(autouse=True)
def moved_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spool is emptied, what failed is tried again, and what may be sent is, without waiting for a quiet moment."""
    for module in (courier, couriers):
        monkeypatch.setattr(module, "IDLE_SECS", 0.05)
    monkeypatch.setattr(shelving, "QUIET_SECS", 0.01)
    monkeypatch.setattr(shelving, "RETRY_SECS", 0.01)
    monkeypatch.setattr(shelving, "READ_SECS", 0.01)
    monkeypatch.setattr(indexing, "RETRY_SECS", 0.01)


@pytest.fixture
def intake() -> RecordingIntake:
    return RecordingIntake()


@pytest.fixture
async def start(pool: asyncpg.Pool, intake: RecordingIntake, objects: Path) -> AsyncIterator[Start]:
    """Starts a gateway with changed channel settings."""
    async with AsyncExitStack() as stack:

        async def start(
            objects_root: Path = objects,
            endpoints: dict[str, DicomEndpoint] | None = None,
            at: Clock = clock.now,
            **changes: Any,
        ) -> Gateway:
            gateway = Gateway(channel(**changes), pool, intake, objects_root, at, endpoints=endpoints)
            return await stack.enter_async_context(running(gateway))

        yield start


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.close()


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()


@pytest.fixture
async def viewer(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may look at everything, at the gateway's web side."""
    async with viewing(pool, objects, Somebody()) as client:
        yield client


@pytest.fixture
def radiograph(tmp_path: Path) -> Write:
    """Writes a small synthetic radiograph and returns its file."""

    def write(**attributes: Any) -> Path:
        dataset = Dataset()
        dataset.SOPClassUID = ComputedRadiographyImageStorage
        dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        dataset.Modality = "CR"
        dataset.PatientName = "Test^One"
        dataset.PatientID = "P0001"
        dataset.PatientSex = "F"
        dataset.PatientBirthDate = "19700101"
        dataset.AccessionNumber = "A0001"
        dataset.StudyDate, dataset.StudyTime = "20260102", "101500"
        dataset.InstanceNumber = 1
        dataset.Rows, dataset.Columns = 16, 16
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = b"".join(number.to_bytes(2, "little") for number in range(256))
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = tmp_path / f"{uuid4().hex}.dcm"
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        return file

    return write


@pytest.fixture
async def open_keeping(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[Open]:
    """Begins the keeping of one channel, as often as it is called; each is closed after the test."""
    async with AsyncExitStack() as stack:

        async def opened() -> Keeping:
            keeping = Keeping("imaging", pool, objects, clock.now, os.urandom, lambda: None)
            stack.push_async_callback(keeping.close)
            await keeping.start()
            return keeping

        yield opened
