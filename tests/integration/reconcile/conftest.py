"""A hub that stores, records and is asked: real gateway, intake, pipeline and API on one fresh database."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from engine import config
from engine.api.app import create_app
from engine.api.services import Services
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.config import Community, DicomChannel
from engine.envelope import EnvelopeIds
from engine.intake import JournalIntake
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.store import access
from pacs_gateway import indexing, notice, shelving
from pacs_gateway.dicomweb.routes import DicomWeb
from pacs_gateway.gateway import Gateway
from pacs_gateway.rejections import noting
from pacs_gateway.sending import courier, couriers
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, send_raw, settled, until

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
QUIET_SECS = 0.05
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def community() -> Community:
    loaded = config.load(EXAMPLE)
    channels = {
        name: one.model_copy(update={"port": 0, "quiet_secs": QUIET_SECS}) if isinstance(one, DicomChannel) else one
        for name, one in loaded.channels.items()
    }
    return loaded.model_copy(update={"channels": channels})


@pytest.fixture(scope="session")
def mappings(community: Community) -> MappingSet:
    return mappings_of(community)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a quiet moment does not wait long."""
    for module in (courier, couriers):
        monkeypatch.setattr(module, "IDLE_SECS", 0.05)
    monkeypatch.setattr(shelving, "QUIET_SECS", 0.01)
    monkeypatch.setattr(shelving, "READ_SECS", 0.01)
    monkeypatch.setattr(indexing, "RETRY_SECS", 0.01)
    monkeypatch.setattr(notice, "LOOK_SECS", 0.05)
    monkeypatch.setattr(noting, "LOOK_SECS", 0.05)


@dataclass
class Desk:
    """The hub as its parts: what is sent to it, what it is asked, what it has recorded."""

    pool: asyncpg.Pool
    gateway: Gateway
    intake: JournalIntake
    pipeline: Pipeline
    objects: Path
    client: httpx.AsyncClient
    reader: httpx.AsyncClient

    async def order(self, payload: bytes) -> None:
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.intake.submit("baishi-his", "10.0.0.1:40000", payload, done.set_result)
        assert await asyncio.wait_for(done, PATIENCE_SECS) is not None
        await self.run()

    async def store(self, *files: Path, calling: str = "DR_BAISHI") -> None:
        """Stores objects and lets the hub record what it is told of them."""
        answered = await asyncio.to_thread(send_raw, self.gateway.port, files, calling)
        assert set(answered) == {SUCCESS}
        await settled(self.objects)
        await self.told()

    async def told(self) -> None:
        """Waits until the pipeline was told of every study, and has recorded it."""

        async def all_of_them() -> bool:
            return not await self.pool.fetchval("select exists (select from study where noticed_revision < revision)")

        await until(all_of_them)
        await self.run()

    async def run(self) -> None:
        async with self.pool.acquire() as connection:
            while await self.pipeline.run_batch(connection):
                pass
        held = await self.pool.fetchval("select count(*) from inbox where state = 'held'")
        assert held == 0, "an envelope is held"  # what the gateway tells of meanwhile is only not recorded yet

    async def cases(self) -> dict[str, list[str]]:
        answer = await self.client.get("/api/reconcile")
        assert answer.status_code == 200, answer.text
        return {line["study_uid"]: line["kinds"] for line in answer.json()["cases"]}

    async def study(self, uid: str, facility: str = "baishi") -> dict[str, Any]:
        answer = await self.client.get(f"/api/reconcile/studies/{facility}/{uid}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def decide(self, uid: str, action: str, *, facility: str = "baishi", **body: Any) -> int:
        """Decides as somebody who has just looked; the number of the decision."""
        revision = (await self.study(uid, facility))["revision"]
        answer = await self.ask(uid, action, facility=facility, revision=revision, **body)
        assert answer.status_code == 200, answer.text
        await self.told()
        return int(answer.json()["number"])

    async def ask(self, uid: str, action: str, *, facility: str = "baishi", **body: Any) -> httpx.Response:
        return await self.client.post(
            f"/api/reconcile/studies/{facility}/{uid}/{action}", json={"reason": "checked with the sender", **body}
        )

    async def undo(self, number: int) -> httpx.Response:
        answer = await self.client.post(f"/api/reconcile/decisions/{number}/undo", json={"reason": "a mistake"})
        await self.told()
        return answer

    async def imaging_study(self, uid: str) -> dict[str, Any]:
        rows = await self.pool.fetch("select body from resource where type = 'ImagingStudy'")
        bodies = [json.loads(row["body"]) for row in rows]
        (found,) = [body for body in bodies if f"urn:oid:{uid}" in {one["value"] for one in body["identifier"]}]
        told: dict[str, Any] = found
        return told

    async def task_states(self) -> dict[str, str]:
        """How the requests at the centre stand, by the accession number of their orders."""
        rows = await self.pool.fetch(
            """
            select w.accession, t.body::jsonb #>> '{businessStatus,coding,0,code}' as state
            from resource t
            join worklist w on t.body::jsonb #>> '{focus,reference}' = 'ServiceRequest/' || w.service_request
            where t.type = 'Task'
            """
        )
        return {row["accession"]: row["state"] for row in rows}

    async def fetched(self, study: str, series: str, sop: str) -> Dataset:
        """An object as WADO-RS serves it."""
        answer = await self.reader.get(
            f"/dicomweb/studies/{study}/series/{series}/instances/{sop}",
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
        assert answer.status_code == 200, answer.text
        return pydicom.dcmread(BytesIO(answer.content))

    async def uids(self, study: str) -> set[tuple[str, str]]:
        """Series and instances of a study as QIDO-RS finds them."""
        answer = await self.reader.get(f"/dicomweb/studies/{study}/instances")
        assert answer.status_code in (200, 204), answer.text
        found = answer.json() if answer.status_code == 200 else []
        return {(one["0020000E"]["Value"][0], one["00080018"]["Value"][0]) for one in found}


@pytest.fixture
async def desk(
    database_url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet, tmp_path: Path
) -> AsyncIterator[Desk]:
    ids = EnvelopeIds(secrets.randbits)
    objects = tmp_path / "objects"
    intake = JournalIntake(database_url, {c.name: c for c in community.mllp_channels}, now, ids)
    await intake.start()
    gateway = Gateway(community.dicom_channels[0], pool, intake, objects, now)
    await gateway.start()
    services = Services(pool=pool, config=community, clock=now, mapping_set=mappings)
    imaging = DicomWeb(pool, objects)
    app = create_app(services, mounted=imaging.mounts())
    async with pool.acquire() as connection:
        tokens = [await access.issue(connection, name, now()) for name in (access.ADMINISTRATOR, "wang")]
    clients = [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://hub", headers={"Authorization": f"Bearer {token}"}
        )
        for token in tokens
    ]
    pipeline = Pipeline(database_url, community, mappings, now, ids)
    try:
        yield Desk(pool, gateway, intake, pipeline, objects, *clients)
    finally:
        for client in clients:
            await client.aclose()
        await imaging.close()
        await gateway.close()
        await intake.close()


@pytest.fixture
def radiograph(tmp_path: Path) -> Write:
    """Writes a small radiograph of 石秀英 as her order names her, and returns its file."""

    def write(sop: str = "1.2.3.1.1", **attributes: Any) -> Path:
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, sop
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
        dataset.Modality, dataset.InstanceNumber = "DX", 1
        dataset.PatientName, dataset.PatientID = "Shi^XiuYing=石^秀英", "BS0001"
        dataset.PatientBirthDate, dataset.PatientSex = "19630512", "F"
        dataset.AccessionNumber = "ACC1"
        dataset.StudyDate, dataset.StudyTime = "20261121", "084500"
        dataset.Rows, dataset.Columns = 4, 4
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.PixelData = sop.encode().ljust(32, b"\1")[:32]
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = tmp_path / f"{uuid4().hex}.dcm"
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        return file

    return write
