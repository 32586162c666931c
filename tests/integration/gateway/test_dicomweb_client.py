"""The hub's whole web side serves `dicomweb-client` and Orthanc as they are, over a socket, with tokens and audit."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from granian.constants import Interfaces
from granian.server.embed import Server
from pydicom.uid import UID

from engine import clock, config
from engine.api.app import create_app
from engine.api.services import Services
from engine.store import access
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.dicomweb.routes import DicomWeb
from tests import ports
from tests.integration.gateway.archives import listens, orthanc
from tests.integration.gateway.conftest import RecordingIntake, Write, channel
from tests.integration.gateway.sending import PATIENCE_SECS, data_set_of, real, until

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


@pytest.fixture
async def hub(pool: asyncpg.Pool, intake: RecordingIntake, objects: Path, free_port: int) -> AsyncIterator[str]:
    posted = Posted((channel(),), pool, intake, objects, clock.now)
    await posted.start()
    community = config.load(EXAMPLE)
    user = community.users["wang"].model_copy(update={"name": "dr-baishi", "roles": (config.Role.SENDER,)})
    community = community.model_copy(update={"users": {**community.users, "dr-baishi": user}})
    services = Services(pool=pool, config=community, clock=clock.now, mapping_set=cast(Any, None))
    imaging = DicomWeb(pool, objects, posted)
    app = create_app(services, mounted=imaging.mounts())
    server = Server(app, address="127.0.0.1", port=free_port, interface=Interfaces.ASGINL, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    await until(lambda: listens(free_port))  # granian says nothing when it does
    yield f"http://127.0.0.1:{free_port}/dicomweb"
    server.stop()  # type: ignore[no-untyped-call]  # granian's own
    await asyncio.gather(serving, return_exceptions=True)
    await imaging.close()
    await posted.close()


async def token_of(pool: asyncpg.Pool, name: str) -> str:
    async with pool.acquire() as connection:
        return await access.issue(connection, name, clock.now())


async def session_of(pool: asyncpg.Pool, name: str) -> requests.Session:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {await token_of(pool, name)}"
    return session


@pytest.fixture
async def client(hub: str, pool: asyncpg.Pool) -> DICOMwebClient:
    return DICOMwebClient(hub, session=await session_of(pool, "dr-baishi"))


async def test_what_is_stored_is_found_and_fetched_in_every_form(client: DICOMwebClient) -> None:
    files = [real(name) for name in ("CT_small", "RG1_J2KI", "examples_ybr_color")]
    datasets = [pydicom.dcmread(file) for file in files]
    told = await asyncio.to_thread(client.store_instances, datasets)
    assert len(told.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in told
    for file, sent in zip(files, datasets, strict=True):
        uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
        await asyncio.to_thread(_in_every_form, client, sent, uids)
        raw = io.BytesIO()
        (await asyncio.to_thread(client.retrieve_instance, *uids)).save_as(raw)
        assert len(data_set_of(file)) <= len(raw.getvalue())


def _in_every_form(client: DICOMwebClient, sent: pydicom.Dataset, uids: tuple[str, str, str]) -> None:
    study, series, sop = uids
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": study})
    assert found["0020000D"]["Value"] == [study]
    assert [one["0020000E"]["Value"][0] for one in client.search_for_series(study)] == [series]
    assert [one["00080018"]["Value"][0] for one in client.search_for_instances(study, series)] == [sop]
    assert client.retrieve_instance(*uids).PixelData == sent.PixelData
    assert [one.SOPInstanceUID for one in client.retrieve_study(study)] == [sop]
    assert [one.SOPInstanceUID for one in client.iter_series(study, series)] == [sop]
    (of_study,) = client.retrieve_study_metadata(study)
    (of_series,) = client.retrieve_series_metadata(study, series)
    of_one = client.retrieve_instance_metadata(*uids)
    assert of_study["00080018"] == of_series["00080018"] == of_one["00080018"]
    pixels = client.retrieve_bulkdata(of_one["7FE00010"]["BulkDataURI"])
    frames = client.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert frames[0] == pixels[0][: len(frames[0])]


async def test_a_study_comes_decoded_to_who_names_explicit_little_endian(client: DICOMwebClient) -> None:
    sent = [pydicom.dcmread(real(name)) for name in ("MR_small", "MR_small_jpeg_ls_lossless")]
    for number, one in enumerate(sent, 1):
        one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID = "1.2.7", "1.2.7.1", f"1.2.7.1.{number}"
        one.InstanceNumber, one.file_meta.MediaStorageSOPInstanceUID = number, UID(one.SOPInstanceUID)
    await asyncio.to_thread(client.store_instances, sent)
    explicit = "1.2.840.10008.1.2.1"
    fetched = await asyncio.to_thread(client.retrieve_study, "1.2.7", media_types=(("application/dicom", explicit),))
    assert [one.PixelData for one in fetched] == [one.pixel_array.tobytes() for one in sent]
    for one in sent:
        uids = (one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
        (frame,) = await asyncio.to_thread(
            client.retrieve_instance_frames, *uids, [1], media_types=(("application/octet-stream", explicit),)
        )
        assert frame == one.pixel_array.tobytes()


async def test_a_search_without_matches_is_an_empty_list(client: DICOMwebClient) -> None:
    assert await asyncio.to_thread(client.search_for_studies, search_filters={"PatientID": "nobody"}) == []


async def test_an_object_larger_than_any_other_body_is_taken(client: DICOMwebClient, radiograph: Write) -> None:
    sent = pydicom.dcmread(radiograph(PixelData=bytes(12_000_000), Rows=2000, Columns=3000))
    await asyncio.to_thread(client.store_instances, [sent])
    uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
    assert (await asyncio.to_thread(client.retrieve_instance, *uids)).PixelData == sent.PixelData


async def test_nothing_goes_in_or_out_without_a_token_that_may(hub: str, pool: asyncpg.Pool, radiograph: Write) -> None:
    sent = pydicom.dcmread(radiograph())
    for session, status in ((create_session(), 401), (await session_of(pool, "wang"), 403)):
        with pytest.raises(requests.HTTPError) as refused:
            await asyncio.to_thread(DICOMwebClient(hub, session=session).store_instances, [sent])
        assert refused.value.response is not None
        assert refused.value.response.status_code == status
    with pytest.raises(requests.HTTPError):
        await asyncio.to_thread(DICOMwebClient(hub).search_for_studies)


async def test_orthanc_stores_searches_and_fetches(
    hub: str, client: DICOMwebClient, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    theirs, ours = real("CT_small"), real("MR_small")
    await asyncio.to_thread(client.store_instances, [pydicom.dcmread(ours)])
    port, http = ports.free_port(), ports.free_port()
    reach = (hub, await token_of(pool, "dr-baishi"))
    async with orthanc(tmp_path / "orthanc", port, port, http, reach) as archive:
        await asyncio.to_thread(archive.keep, [theirs])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}", timeout=PATIENCE_SECS) as told:
            (study,) = (await told.get("/studies")).json()
            stored = await told.post("/dicom-web/servers/hutong/stow", json={"Resources": [study]})
            assert stored.status_code == 200, stored.text
            uid = str(pydicom.dcmread(theirs).StudyInstanceUID)
            (found,) = await asyncio.to_thread(client.search_for_studies, search_filters={"StudyInstanceUID": uid})
            assert found["0020000D"]["Value"] == [uid]

            wanted = str(pydicom.dcmread(ours).StudyInstanceUID)
            asked = {"Uri": "studies", "Arguments": {"StudyInstanceUID": wanted}}
            answered = await told.post("/dicom-web/servers/hutong/get", json=asked)
            assert [one["0020000D"]["Value"] for one in answered.json()] == [[wanted]]
            fetched = await told.post("/dicom-web/servers/hutong/retrieve", json={"Resources": [{"Study": wanted}]})
            assert fetched.status_code == 200, fetched.text
            (sent,) = (await told.get(f"/studies/{study}/instances")).json()
            (instance,) = {*(await told.get("/instances")).json()} - {sent["ID"]}
            content = (await told.get(f"/instances/{instance}/file")).content
            assert content.endswith(data_set_of(ours))
