"""Stored studies, series and instances are found by QIDO-RS, as the standard's keys ask for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pydicom
import pytest

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import SUCCESS, real, send_raw, settled
from tests.integration.gateway.serving import application, client_of

WANG = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "王^小明", "PatientID": "P1"}
LI = {"PatientName": "Li^Lei", "PatientID": "P2", "AccessionNumber": "A7", "StudyDate": "20260305"}

LATER = {"AcquisitionDateTime": "20260102101530.5"}


@pytest.fixture
async def county(gateway: Gateway, radiograph: Write, objects: Path) -> None:
    """Two patients, three studies; the first study has two series, of which one has two instances."""
    first = {"StudyInstanceUID": "1.2.1", "StudyDescription": "Chest, PA", **WANG}
    files = [
        radiograph(**first, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.1", SeriesDescription="PA"),
        radiograph(**first, SeriesInstanceUID="1.2.1.1", SOPInstanceUID="1.2.1.1.2", InstanceNumber=2, **LATER),
        radiograph(**first, SeriesInstanceUID="1.2.1.2", SOPInstanceUID="1.2.1.2.1", Modality="SR"),
        radiograph(**WANG, StudyInstanceUID="1.2.2", SeriesInstanceUID="1.2.2.1", StudyDate="20260201"),
        radiograph(**LI, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", Modality="CT"),
    ]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await settled(objects)


async def found(client: httpx.AsyncClient, path: str, tag: str = "0020000D") -> list[Any]:
    answer = await client.get(f"/dicomweb{path}")
    assert answer.status_code in (200, 204), answer.text
    return [one[tag]["Value"][0] for one in answer.json()] if answer.status_code == 200 else []


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        ("", ["1.2.3", "1.2.2", "1.2.1"]),
        ("?PatientID=P1", ["1.2.2", "1.2.1"]),
        ("?00100020=P2", ["1.2.3"]),
        ("?PatientName=王*", ["1.2.2", "1.2.1"]),
        ("?PatientName=wang*&fuzzymatching=true", ["1.2.2", "1.2.1"]),
        ("?PatientName=wangxiao&fuzzymatching=true", ["1.2.2", "1.2.1"]),
        ("?PatientName=LI*", ["1.2.3"]),
        ("?AccessionNumber=A7", ["1.2.3"]),
        ("?AccessionNumber=A*", ["1.2.3", "1.2.2", "1.2.1"]),
        ("?StudyDate=20260201-", ["1.2.3", "1.2.2"]),
        ("?StudyDate=-20260201", ["1.2.2", "1.2.1"]),
        ("?StudyDate=20260102&StudyTime=10-11", ["1.2.1"]),
        ("?StudyDate=20260102&StudyTime=11-", []),
        ("?PatientBirthDate=19700101", ["1.2.3", "1.2.2", "1.2.1"]),
        ("?PatientBirthDate=19700101-19791231", ["1.2.3", "1.2.2", "1.2.1"]),
        ("?PatientBirthDate=-19691231", []),
        ("?00100030=19700102-", []),
        ("?StudyDate=*", ["1.2.3", "1.2.2", "1.2.1"]),
        ("?ModalitiesInStudy=SR", ["1.2.1"]),
        ("?ModalitiesInStudy=SR,CT", ["1.2.3", "1.2.1"]),
        ("?StudyInstanceUID=1.2.1,1.2.3", ["1.2.3", "1.2.1"]),
        ("?StudyDescription=Chest*", ["1.2.1"]),
        ("?limit=1", ["1.2.3"]),
        ("?limit=1&offset=1", ["1.2.2"]),
        ("?limit=0", []),
        ("?offset=9", []),
        ("?PatientID=P1&AccessionNumber=A7", []),
    ],
)
async def test_studies_are_found_by_the_keys_of_the_standard(
    county: None, viewer: httpx.AsyncClient, query: str, studies: list[str]
) -> None:
    assert await found(viewer, f"/studies{query}") == studies


async def test_a_study_tells_what_the_standard_requires(county: None, viewer: httpx.AsyncClient) -> None:
    answer = await viewer.get("/dicomweb/studies?StudyInstanceUID=1.2.1&includefield=InstitutionName")
    assert answer.headers["content-type"] == "application/dicom+json"
    (told,) = answer.json()
    assert told["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "王^小明"}]}
    assert told["00080061"]["Value"] == ["CR", "SR"]
    assert (told["00201206"]["Value"], told["00201208"]["Value"]) == ([2], [3])
    assert told["00081190"]["Value"] == ["http://hub/dicomweb/studies/1.2.1"]
    assert told["00080056"]["Value"] == ["ONLINE"]
    assert {"00080020", "00080030", "00080050", "00080090", "00100020", "00100030", "00100040", "00200010"} <= set(told)


async def test_series_and_instances_are_found_below_what_the_path_names(
    county: None, viewer: httpx.AsyncClient
) -> None:
    assert await found(viewer, "/studies/1.2.1/series", "0020000E") == ["1.2.1.1", "1.2.1.2"]
    assert await found(viewer, "/studies/1.2.1/series?Modality=SR", "0020000E") == ["1.2.1.2"]
    assert await found(viewer, "/series?PatientID=P2", "0020000E") == ["1.2.3.1"]
    assert await found(viewer, "/studies/1.2.1/instances", "00080018") == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"]
    assert await found(viewer, "/studies/1.2.1/series/1.2.1.1/instances?limit=1&offset=1", "00080018") == ["1.2.1.1.2"]
    assert await found(viewer, "/instances?SOPInstanceUID=1.2.1.2.1", "0020000E") == ["1.2.1.2"]
    assert await found(viewer, "/instances?AcquisitionDateTime=202601021015-20260103", "00080018") == ["1.2.1.1.2"]
    assert await found(viewer, "/instances?AcquisitionDateTime=20260103-", "00080018") == []
    assert await found(viewer, "/studies/1.2.1/series?StudyInstanceUID=1.2.3") == []
    (below,) = (await viewer.get("/dicomweb/studies/1.2.3/series")).json()
    (beside,) = (await viewer.get("/dicomweb/series?PatientID=P2")).json()
    assert "00100010" not in below
    assert beside["00100010"]["Value"] == [{"Alphabetic": "Li^Lei"}]


async def test_instances_and_series_tell_what_their_objects_say_of_the_picture_and_the_step(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    uids = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}
    step = {"PerformedProcedureStepStartDate": "20260102", "PerformedProcedureStepStartTime": "101000"}
    files = [radiograph(**uids, **step, Columns=300), real("ExplVR_BigEnd"), real("test-SR")]
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await settled(objects)
    (picture,) = (await viewer.get("/dicomweb/studies/1.2.9/instances")).json()
    told = {tag: picture[tag] for tag in ("00280010", "00280011", "00280100")}
    assert told == {tag: {"vr": "US", "Value": [value]} for tag, value in zip(told, (16, 300, 16), strict=True)}
    (series,) = (await viewer.get("/dicomweb/studies/1.2.9/series")).json()
    assert (series["00400244"]["Value"], series["00400245"]["Value"]) == (["20260102"], ["101000"])
    turned, report = (pydicom.dcmread(file) for file in files[1:])
    (big,) = (await viewer.get(f"/dicomweb/studies/{turned.StudyInstanceUID}/instances")).json()
    assert (big["00280010"]["Value"], big["00280011"]["Value"]) == ([turned.Rows], [turned.Columns])
    (other,) = (await viewer.get(f"/dicomweb/studies/{report.StudyInstanceUID}/instances")).json()
    assert "00280010" not in other
    asked = await viewer.get("/dicomweb/instances?Rows=7&StudyInstanceUID=1.2.9")
    assert (len(asked.json()), asked.headers["warning"][:3]) == (1, "299")


async def test_that_there_is_more_and_what_was_not_asked_is_said(county: None, viewer: httpx.AsyncClient) -> None:
    assert "additional results" in (await viewer.get("/dicomweb/studies?limit=2")).headers["warning"]
    assert "warning" not in (await viewer.get("/dicomweb/studies?limit=3")).headers
    ignored = await viewer.get("/dicomweb/studies?OperatorsName=X&SeriesDescription=Y&SOPInstanceUID=1.2.3")
    assert (len(ignored.json()), ignored.headers["warning"][:3]) == (3, "299")


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=a",
        "offset=99999999999",
        "StudyDate=2026",
        "StudyDate=1-2-3",
        "StudyDate=-",
        "StudyTime=99:99:99:99",
        "PatientBirthDate=1970",
        "PatientID=a%00b",
        "PatientName=" + "x" * 2000,
        "StudyInstanceUID=" + ",".join(["1.2"] * 1001),
    ],
)
async def test_a_query_that_is_none_is_refused(viewer: httpx.AsyncClient, query: str) -> None:
    assert (await viewer.get(f"/dicomweb/studies?{query}")).status_code == 400


async def test_other_representations_are_refused_and_nobody_is_told(
    county: None, viewer: httpx.AsyncClient, pool: asyncpg.Pool, objects: Path
) -> None:
    answer = await viewer.get("/dicomweb/studies", headers={"accept": "application/dicom+xml"})
    assert answer.status_code == 406
    async with client_of(application(pool, objects, None)) as stranger:
        for path in ("/studies", "/series", "/studies/1.2.1/instances"):
            assert (await stranger.get(f"/dicomweb{path}")).status_code == 401


async def test_each_study_that_a_search_tells_of_is_in_the_audit(
    county: None, viewer: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    await viewer.get("/dicomweb/studies?PatientID=P1&limit=10")
    await viewer.get("/dicomweb/studies?PatientID=none")
    rows = await pool.fetch("select actor, action, subject, detail from audit order by id")
    parameters = '{"parameters": "PatientID,limit"}'
    assert [tuple(row) for row in rows] == [
        ("wang", "search", "ImagingStudy/1.2.2", parameters),
        ("wang", "search", "ImagingStudy/1.2.1", parameters),
        ("wang", "search", "ImagingStudy", '{"parameters": "PatientID"}'),
    ]
