"""What was stored can be listed, fetched as it was sent, and looked at; each look is in the audit."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pydicom
import pytest
from PIL import Image

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import kept, study_of
from tests.integration.gateway.sending import broken_off, data_set_of, real
from tests.integration.gateway.serving import Somebody, application, client_of


@pytest.fixture
async def browser(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(pool, objects, Somebody())) as client:
        yield client


async def test_the_instances_of_a_study_are_listed_as_dicom_json(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph(InstanceNumber=3, SeriesDescription="PA"))
    answer = await browser.get(f"{study_of(path)}/instances")
    assert answer.headers["content-type"] == "application/dicom+json"
    (listed,) = answer.json()
    assert listed["00200013"] == {"vr": "IS", "Value": [3]}
    assert listed["0008103E"] == {"vr": "LO", "Value": ["PA"]}
    assert listed["00280008"] == {"vr": "IS"}
    assert listed["00081190"]["Value"] == [f"http://hub{path}"]
    assert pydicom.Dataset.from_json(listed).SOPInstanceUID == path.rsplit("/", 1)[1]


async def test_an_object_is_fetched_as_it_was_sent(gateway: Gateway, browser: httpx.AsyncClient, objects: Path) -> None:
    file = real("RG1_J2KI")
    path = await kept(gateway, objects, file)
    single = await browser.get(path, headers={"accept": "application/dicom"})
    assert single.headers["content-type"] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.91"
    assert single.content.endswith(data_set_of(file))
    several = await browser.get(path, headers={"accept": 'multipart/related; type="application/dicom"'})
    boundary = several.headers["content-type"].partition("boundary=")[2]
    before, part, after = several.content.split(f"--{boundary}".encode())
    head, _, body = part.partition(b"\r\n\r\n")
    assert (before, after) == (b"", b"--\r\n")
    assert b"transfer-syntax=1.2.840.10008.1.2.4.91" in head
    assert body == single.content + b"\r\n"


async def test_a_radiograph_is_shown_as_png(gateway: Gateway, browser: httpx.AsyncClient, objects: Path) -> None:
    path = await kept(gateway, objects, real("RG3_UNCR"))
    answer = await browser.get(f"{path}/rendered")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (1760, 1760)
    narrow = await browser.get(f"{path}/rendered", params={"window": "550,10"})
    assert narrow.content != answer.content


async def test_the_picture_that_a_browser_has_is_not_drawn_again(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    first = await browser.get(f"{path}/rendered")
    again = await browser.get(f"{path}/rendered", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert "private" in first.headers["cache-control"]


async def test_every_frame_of_a_loop_is_shown(gateway: Gateway, browser: httpx.AsyncClient, objects: Path) -> None:
    path = await kept(gateway, objects, real("examples_ybr_color"))
    frames = [(await browser.get(f"{path}/frames/{number}/rendered")) for number in (1, 30, 31, 0)]
    assert [frame.status_code for frame in frames] == [200, 200, 406, 406]
    assert frames[0].content != frames[1].content


@pytest.mark.parametrize(("layout", "rows"), [("3x4", 4), ("6x2", 7)])
async def test_an_ecg_is_shown_as_a_drawing_that_can_run_nothing(
    gateway: Gateway, browser: httpx.AsyncClient, layout: str, rows: int, objects: Path
) -> None:
    path = await kept(gateway, objects, real("waveform_ecg"))
    answer = await browser.get(f"{path}/rendered", params={"layout": layout})
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.text.count("v-10.00h") == rows


async def test_a_name_that_is_markup_stays_a_name(
    gateway: Gateway, browser: httpx.AsyncClient, tmp_path: Path, objects: Path
) -> None:
    ecg = pydicom.dcmread(real("waveform_ecg"))
    ecg.PatientName = "<script>alert(1)</script>"
    file = tmp_path / "hostile.dcm"
    ecg.save_as(file)
    path = await kept(gateway, objects, file)
    drawing = (await browser.get(f"{path}/rendered")).text
    assert "<script" not in drawing
    assert "&lt;script&gt;" in drawing


async def test_what_cannot_be_shown_is_said_to_be_and_can_still_be_fetched(
    gateway: Gateway, browser: httpx.AsyncClient, objects: Path, tmp_path: Path
) -> None:
    for file in (real("test-SR"), broken_off("JPEG-lossy", tmp_path)):
        path = await kept(gateway, objects, file)
        assert (await browser.get(f"{path}/rendered")).status_code == 406
        assert (await browser.get(path)).status_code == 200


@pytest.mark.parametrize("window", ["a,b", "1", "1,0", "1,-5", "nan,nan"])
async def test_a_window_that_is_none_is_refused(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, window: str, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    assert (await browser.get(f"{path}/rendered", params={"window": window})).status_code == 400


async def test_what_was_never_stored_is_not_found(gateway: Gateway, browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/dicomweb/studies/1.2/instances")).status_code == 204
    for path in (
        "/studies/1/series/2/instances/3",
        "/studies/1/series/2/instances/3/rendered",
    ):
        assert (await browser.get(f"/dicomweb{path}")).status_code == 404


async def test_the_first_content_of_a_uid_is_served_and_the_conflicting_one_never_in_its_place(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    first = radiograph()
    path = await kept(gateway, objects, first)
    study, series, sop = path.split("/")[3], path.split("/")[5], path.split("/")[7]
    await kept(
        gateway,
        objects,
        radiograph(StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=sop, PatientID="P2"),
    )
    answer = await browser.get(path, headers={"accept": "application/dicom"})
    assert answer.content.endswith(data_set_of(first))
    assert len((await browser.get(f"{study_of(path)}/instances")).json()) == 1


async def test_every_look_is_in_the_audit_with_who_and_what(
    gateway: Gateway, browser: httpx.AsyncClient, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    for suffix in ("", "/rendered"):
        await browser.get(f"{path}{suffix}")
    await browser.get(f"{study_of(path)}/instances")
    rows = await pool.fetch("select actor, action, subject from audit order by id")
    study = f"ImagingStudy/{path.split('/')[3]}"
    assert [tuple(row) for row in rows] == [("wang", "read", study), ("wang", "search", study)]


async def test_nothing_is_told_to_nobody(
    gateway: Gateway, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    path = await kept(gateway, objects, radiograph())
    async with client_of(application(pool, objects, None)) as stranger:
        for asked in (path, f"{path}/rendered", f"{study_of(path)}/instances"):
            answer = await stranger.get(asked)
            assert answer.status_code == 401
            assert b"P0001" not in answer.content
