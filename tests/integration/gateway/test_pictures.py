"""A browser is shown small pictures of everything, in the encoding and size it asks for, and told what it can ask."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import asyncpg
import httpx
import pytest
from PIL import Image

from pacs_gateway.apart import Apart
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import kept, study_of
from tests.integration.gateway.sending import real
from tests.integration.gateway.serving import Somebody, application, client_of


@pytest.fixture
async def browser(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application(pool, objects, Somebody())) as client:
        yield client


async def test_a_study_a_series_an_instance_and_a_frame_have_a_small_picture_that_is_made_once(
    gateway: Gateway, browser: httpx.AsyncClient, objects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await kept(gateway, objects, real("RG3_UNCR"))
    series = path.split("/instances/")[0]
    pictures = [await browser.get(f"{one}/thumbnail") for one in (path, series, study_of(path), f"{path}/frames/1")]
    assert {one.headers["content-type"] for one in pictures} == {"image/jpeg"}
    small = Image.open(io.BytesIO(pictures[0].content))
    assert (small.format, max(small.size)) == ("JPEG", 128)
    assert len({one.content for one in pictures}) == 1
    monkeypatch.setattr(Apart, "done", lambda *_, **__: pytest.fail("drawn again"))
    assert (await browser.get(f"{path}/thumbnail")).content == pictures[0].content
    again = await browser.get(f"{path}/thumbnail", headers={"if-none-match": pictures[0].headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_of_a_study_whose_middle_shows_nothing_something_else_is_shown(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    uids = {"StudyInstanceUID": "1.2.7", "SeriesInstanceUID": "1.2.7.1"}
    await kept(gateway, objects, radiograph(**uids, SOPInstanceUID="1.2.7.1.1", InstanceNumber=1))
    await kept(
        gateway, objects, radiograph(**uids, SOPInstanceUID="1.2.7.1.2", InstanceNumber=2, Rows=0, PixelData=b"")
    )
    assert (await browser.get("/dicomweb/studies/1.2.7/thumbnail")).status_code == 200
    alone = "/dicomweb/studies/1.2.7/series/1.2.7.1/instances/1.2.7.1.2/thumbnail"
    assert (await browser.get(alone)).status_code == 404


async def test_an_ecg_has_its_tracing_as_thumbnail(gateway: Gateway, browser: httpx.AsyncClient, objects: Path) -> None:
    path = await kept(gateway, objects, real("waveform_ecg"))
    assert (await browser.get(f"{path}/thumbnail")).headers["content-type"].startswith("image/svg+xml")


@pytest.mark.parametrize(
    ("accept", "format_"), [("image/jpeg", "JPEG"), ("image/png", "PNG"), ("image/*", "PNG"), ("*/*", "PNG")]
)
async def test_a_picture_comes_in_the_encoding_and_size_that_is_asked_for(
    gateway: Gateway, browser: httpx.AsyncClient, objects: Path, accept: str, format_: str
) -> None:
    path = await kept(gateway, objects, real("RG3_UNCR"))
    answer = await browser.get(f"{path}/rendered?viewport=300,200&quality=70", headers={"accept": accept})
    shown = Image.open(io.BytesIO(answer.content))
    assert (shown.format, shown.size) == (format_, (200, 200))


@pytest.mark.parametrize(
    "query",
    ["viewport=0,0", "viewport=1,2,3", "viewport=99999,1", "quality=0", "quality=x", "layout=9x9", "window=nan,1"],
)
async def test_a_choice_that_is_none_is_refused(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, objects: Path, query: str
) -> None:
    path = await kept(gateway, objects, radiograph())
    assert (await browser.get(f"{path}/rendered?{query}")).status_code == 400
    assert (await browser.get(f"{path}/rendered", headers={"accept": "video/mp4"})).status_code == 406


async def test_what_can_be_asked_is_told_and_what_is_told_is_there(
    gateway: Gateway, browser: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    told = await browser.request("OPTIONS", "/dicomweb/", headers={"accept": "application/vnd.sun.wadl+xml"})
    assert told.headers["content-type"] == "application/vnd.sun.wadl+xml"
    (resources,) = ET.fromstring(told.text)
    assert resources.get("base") == "http://hub/dicomweb"
    _, study, _, series, _, instance = path.removeprefix("/dicomweb/").split("/")
    values = {"study": study, "series": series, "instance": instance, "frames": "1", "path": "7FE00010"}
    asked = [str(one.get("path")) for one in resources if one.find("*[@name='GET']") is not None]
    here = [one.format(**values) for one in asked if not one.startswith("workitems")]
    assert len(here) >= 20
    assert {one: (await browser.get(f"/dicomweb/{one}")).status_code for one in here} == dict.fromkeys(here, 200)
    refused = await browser.request("OPTIONS", "/dicomweb/", headers={"accept": "application/pdf"})
    assert refused.status_code == 406


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/dicomweb", 404),
        ("GET", "/dicomweb/studies/1.2/nothing", 404),
        ("GET", "/dicomweb/studies/1.2/series/1.3/instances/1.4/bulkdata", 404),
        ("DELETE", "/dicomweb/studies/1.2", 405),
        ("PUT", "/dicomweb/studies/1.2/metadata", 405),
    ],
)
async def test_what_is_no_transaction_is_refused(
    browser: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await browser.request(method, path)).status_code == status
