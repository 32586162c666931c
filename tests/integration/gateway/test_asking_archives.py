"""An administrator asks other systems from the command line; and they ask us, unmodified."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from engine.cli.main import main
from engine.config import AeEntry
from tests import ports
from tests.integration.gateway.archives import ARCHIVE, ARCHIVES, Archive, listens, orthanc
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.owing import delivery_reaches, endpoint, owe_study, sending
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, data_set_of, send_raw, stored, until


def community(folder: Path, port: int, ae_title: str = ARCHIVE) -> Path:
    (folder / "endpoints").mkdir(parents=True)
    (folder / "community.yaml").write_text("name: test\nfacilities: {county: {name: county, level: county}}\n")
    (folder / "endpoints" / "pacs.yaml").write_text(
        f"type: dicom\nfacility: county\nhost: 127.0.0.1\nport: {port}\nae_title: {ae_title}\n"
    )
    return folder


async def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """Exit status and everything that was printed."""

    def command() -> int:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    status = await asyncio.to_thread(command)
    said = capsys.readouterr()
    return status, said.out + said.err


@pytest.fixture(params=sorted(ARCHIVES))
async def archive(request: pytest.FixtureRequest, tmp_path: Path, free_port: int) -> AsyncIterator[Archive]:
    async with ARCHIVES[request.param](tmp_path / "archive", free_port, 1) as archive:
        yield archive


async def test_an_archive_is_asked_and_a_study_fetched_into_files(
    archive: Archive, radiograph: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    files = [
        radiograph(StudyInstanceUID="1.5.1", SeriesInstanceUID="1.5.1.1", SOPInstanceUID=f"1.5.1.1.{number}")
        for number in (1, 2)
    ]
    await asyncio.to_thread(archive.keep, files)
    there = ("--config", community(tmp_path / "community", archive.port))

    status, said = await run(capsys, "dicom", "echo", "pacs", *there)
    assert (status, said.startswith("pacs answered in ")) == (0, True)
    status, said = await run(
        capsys, "dicom", "find", "pacs", "PatientID=P0001", "StudyDate=20260101-", *there, "--json"
    )
    assert status == 0
    (found,) = json.loads(said)
    assert (found["StudyInstanceUID"], found["PatientID"], found["StudyDate"]) == ("1.5.1", "P0001", "20260102")
    status, said = await run(capsys, "dicom", "find", "pacs", "StudyInstanceUID=1.5.1", "--level", "series", *there)
    assert "1.5.1.1" in said
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert await run(capsys, "dicom", "find", "pacs", "PatientID=P9", *there) == (0, "pacs 中没有匹配的内容\n")

    status, said = await run(capsys, "dicom", "get", "pacs", "1.5.1", *there, "--to", tmp_path / "fetched")
    assert status == 0, said
    fetched = sorted((tmp_path / "fetched").iterdir())
    assert [path.name for path in fetched] == ["1.5.1.1.1.dcm", "1.5.1.1.2.dcm"]
    assert pydicom.dcmread(fetched[0]).PixelData == pydicom.dcmread(files[0]).PixelData
    status, said = await run(capsys, "dicom", "get", "pacs", "1.5.9", *there, "--to", tmp_path / "fetched")
    assert status == 1


async def test_a_worklist_is_asked_of_wlmscpfs(
    tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "worklists" / "RIS"
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    step = Dataset()
    step.Modality, step.ScheduledStationAETitle = "DX", "DR1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260102", "0900"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "Li^Si", "chest"
    step.ScheduledProcedureStepID = "1"
    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 192"
    entry.PatientName, entry.PatientID, entry.AccessionNumber = "张^三", "P0001", "A1"
    entry.StudyInstanceUID, entry.RequestedProcedureID, entry.RequestedProcedureDescription = "1.5.1", "1", "chest"
    entry.PatientBirthDate, entry.PatientSex = "19700101", "F"
    entry.ScheduledProcedureStepSequence = [step]
    entry.file_meta = FileMetaDataset()
    entry.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    entry.file_meta.MediaStorageSOPClassUID = UID("1.2.276.0.7230010.3.1.0.1")
    entry.file_meta.MediaStorageSOPInstanceUID = UID("1.5")
    pydicom.dcmwrite(folder / "one.wl", entry, enforce_file_format=True)
    process = await asyncio.create_subprocess_exec(
        "wlmscpfs", "-dfp", str(folder.parent), str(free_port), env={**os.environ, "TCP_NODELAY": "1"},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(lambda: listens(free_port))
        there = ("--config", community(tmp_path / "community", free_port, "RIS"))
        question = ("dicom", "find", "pacs", "Modality=DX", "--level", "worklist", *there, "--json")
        status, said = await run(capsys, *question)
        assert status == 0, said
        assert [(step["PatientName"], step["ScheduledStationAETitle"]) for step in json.loads(said)] == [
            ("张^三", "DR1")
        ]
        status, said = await run(
            capsys, "dicom", "find", "pacs", "Modality=US", "--level", "worklist", *there, "--json"
        )
        assert json.loads(said) == []
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("echo", "pax"), "expected an endpoint of type dicom, found 'pax'"),
        (("find", "pacs", "PatientID"), "expected KEYWORD=VALUE"),
        (("find", "pacs", "Nonsense=1"), "expected KEYWORD=VALUE"),
        (("find", "pacs", "--level", "planet"), "expected one of patient, study"),
        (("echo", "pacs"), "the peer cannot be reached"),
    ],
)
async def test_what_cannot_be_asked_is_told(
    arguments: tuple[str, ...], told: str, tmp_path: Path, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ("--config", community(tmp_path / "community", free_port))
    status, said = await run(capsys, "dicom", *arguments, *there)
    assert (status, told in said) == (1, True), said


async def test_orthanc_is_sent_to_sends_asks_and_fetches(
    start: Start, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, tmp_path: Path,
    free_port: int
) -> None:  # fmt: skip
    http = ports.free_port()
    entries = (
        AeEntry(ae_title="DR_BAISHI", facility="baishi"),
        AeEntry(ae_title=ARCHIVE, facility="baishi", address="127.0.0.1", port=free_port),
    )
    gateway = await start(ae_entries=entries)
    ours = radiograph(StudyInstanceUID="1.5.1", SeriesInstanceUID="1.5.1.1", SOPInstanceUID="1.5.1.1.1")
    more = radiograph(StudyInstanceUID="1.5.2", SeriesInstanceUID="1.5.2.1", SOPInstanceUID="1.5.2.1.1", PatientID="P2")
    theirs = radiograph(StudyInstanceUID="1.5.3", SeriesInstanceUID="1.5.3.1", SOPInstanceUID="1.5.3.1.1")
    assert await asyncio.to_thread(send_raw, gateway.port, [ours, more]) == [SUCCESS] * 2
    await stored(pool, objects)
    async with (
        orthanc(tmp_path / "archive", free_port, gateway.port, http) as archive,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}", timeout=PATIENCE_SECS) as client,
    ):
        # We send to it.
        await owe_study(pool, "1.5.1")
        async with sending(database_url, objects, endpoint(free_port, ae_title=ARCHIVE)):
            await delivery_reaches(pool, "delivered", "1.5.1")
        assert len((await client.get("/instances")).json()) == 1
        # It asks us, and fetches.
        asked = {"Level": "Study", "Query": {"PatientID": "P2"}}
        query = (await client.post("/modalities/hutong/query", json=asked)).json()
        answers = (await client.get(f"{query['Path']}/answers?expand")).json()
        assert [answer["0020,000d"]["Value"] for answer in answers] == ["1.5.2"]
        moved = await client.post(f"{query['Path']}/retrieve", json={"TargetAet": ARCHIVE, "Synchronous": True})
        assert moved.status_code == 200, moved.text
        assert len((await client.get("/instances")).json()) == 2
        # It sends to us.
        await asyncio.to_thread(archive.keep, [theirs])
        found = (
            await client.post("/tools/find", json={"Level": "Study", "Query": {"StudyInstanceUID": "1.5.3"}})
        ).json()
        sent = await client.post("/modalities/hutong/store", json={"Resources": found, "Synchronous": True})
        assert sent.status_code == 200, sent.text
        rows = await stored(pool, objects)
        assert rows["1.5.3.1.1"]["peer"].startswith(f"{ARCHIVE}@")
        assert rows["1.5.3.1.1"]["bytes"] == len(data_set_of(theirs))
