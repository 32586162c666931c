"""Metadata of a study is there before anybody asks for it, tells what is served now, and goes when nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from engine.clock import now
from engine.store import preparing as waiting_studies
from pacs_gateway import notice
from pacs_gateway.dicomweb import metadata, preparing
from pacs_gateway.dicomweb.looking import Looking
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, send_raw, settled, until
from tests.integration.gateway.serving import Somebody, application, client_of

STUDY = "1.2.826.0.1.77"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "LOOK_SECS", 0.01)
    monkeypatch.setattr(notice, "LOOK_SECS", 0.05)


@pytest.fixture
async def app(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[FastAPI]:
    """A web side that does not prepare anything yet."""
    app = application(pool, objects, Somebody())
    yield app
    await app.state.imaging.close()


@pytest.fixture
async def viewer(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(quiet_secs=0.05)


async def stored(gateway: Gateway, objects: Path, *files: Path) -> None:
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await settled(objects)


async def until_prepared(pool: asyncpg.Pool) -> None:
    """Every study is noticed, and of none is anything left to prepare."""
    open_ones = """
        select (select count(*) from study where noticed_revision < revision) + (select count(*) from study_to_prepare)
    """

    async def reached() -> bool:
        return not await pool.fetchval(open_ones)

    await until(reached)


def kept(objects: Path, study: str = STUDY) -> set[str]:
    folder = objects / "metadata" / study
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


async def told(viewer: httpx.AsyncClient, study: str = STUDY) -> list[Any]:
    answer = await viewer.get(f"/dicomweb/studies/{study}/metadata")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()
    return found


async def test_what_is_asked_for_first_is_told_from_what_was_prepared(
    gateway: Gateway,
    app: FastAPI,
    viewer: httpx.AsyncClient,
    pool: asyncpg.Pool,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [
        radiograph(
            StudyInstanceUID=STUDY, SeriesInstanceUID=f"{STUDY}.{n % 2}", InstanceNumber=n, ImageComments="a" * 20
        )
        for n in range(4)
    ]
    await stored(gateway, objects, *files)
    asked = await told(viewer)  # made for who asks, before anything is prepared
    for path in (objects / "metadata" / STUDY).iterdir():
        path.unlink()
    app.state.imaging.start()
    await until_prepared(pool)
    assert len(kept(objects)) == 2  # one of each series
    monkeypatch.setattr(Looking, "open", lambda *_: pytest.fail("an object is looked into"))
    assert await told(viewer) == asked
    (one, *_) = asked
    assert one["7FE00010"]["BulkDataURI"].startswith(f"http://hub/dicomweb/studies/{STUDY}/series/")
    elsewhere = await viewer.get(f"/dicomweb/studies/{STUDY}/metadata", headers={"host": 'other"host'})
    assert elsewhere.json()[0]["7FE00010"]["BulkDataURI"].startswith('http://other"host/dicomweb/studies/')
    series = await viewer.get(f"/dicomweb/studies/{STUDY}/series/{STUDY}.1/metadata")
    assert series.json() == [one for one in asked if one["0020000E"]["Value"] == [f"{STUDY}.1"]]


async def test_a_text_that_reads_like_an_address_stays_a_text(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    hostile = '"BulkDataURI":"/studies/1'
    await stored(gateway, objects, radiograph(StudyInstanceUID=STUDY, ImageComments=hostile))
    (one,) = await told(viewer)
    assert one["00204000"]["Value"] == [hostile]


async def test_a_study_that_grows_is_prepared_anew_and_what_was_made_before_is_gone(
    gateway: Gateway, app: FastAPI, viewer: httpx.AsyncClient, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    app.state.imaging.start()
    series = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1"}
    await stored(gateway, objects, radiograph(**series))
    await until_prepared(pool)
    await told(viewer)
    before = kept(objects)
    await stored(gateway, objects, radiograph(**series, InstanceNumber=2))
    await until_prepared(pool)
    after = kept(objects)
    assert len(after) == 1
    assert not before & after
    assert len(await told(viewer)) == 2


async def test_a_process_that_was_killed_leaves_what_is_to_be_prepared_to_the_next(
    gateway: Gateway,
    app: FastAPI,
    pool: asyncpg.Pool,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_work = asyncio.Event()

    async def hangs(*_: object) -> None:
        at_work.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as dying:
        dying.setattr(metadata.Documents, "prepare", hangs)
        app.state.imaging.start()
        await stored(gateway, objects, radiograph(StudyInstanceUID=STUDY))
        await asyncio.wait_for(at_work.wait(), PATIENCE_SECS)
        (objects / "metadata" / STUDY).mkdir(parents=True)
        (objects / "metadata" / STUDY / "half.4711").write_bytes(b"written by a process that is gone")
        await app.state.imaging.close()
    assert await pool.fetchval("select count(*) from study_to_prepare") == 1
    app.state.imaging.start()
    await until_prepared(pool)
    (name,) = kept(objects)
    assert name.endswith(".series.gz")


async def test_nothing_is_kept_of_a_study_of_which_nothing_is_served(
    gateway: Gateway, app: FastAPI, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    app.state.imaging.start()
    await stored(gateway, objects, radiograph(StudyInstanceUID=STUDY))
    await until_prepared(pool)
    assert kept(objects)
    async with pool.acquire() as connection:
        await connection.execute("delete from instance where study_uid = $1", STUDY)
        await waiting_studies.changed(connection, STUDY, now())
    await until_prepared(pool)
    assert not (objects / "metadata" / STUDY).exists()


async def test_an_object_that_is_nowhere_holds_up_no_other_study(
    gateway: Gateway, app: FastAPI, viewer: httpx.AsyncClient, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    await stored(gateway, objects, radiograph(StudyInstanceUID=STUDY), radiograph(StudyInstanceUID=f"{STUDY}.7"))
    for path in (objects / "store" / "baishi" / STUDY).iterdir():
        path.unlink()
    app.state.imaging.start()
    await until_prepared(pool)
    assert len(kept(objects, f"{STUDY}.7")) == 1
    assert (await viewer.get(f"/dicomweb/studies/{STUDY}/metadata")).status_code == 404


async def test_a_study_of_very_many_series_is_left_to_who_asks_for_it(
    gateway: Gateway,
    app: FastAPI,
    viewer: httpx.AsyncClient,
    pool: asyncpg.Pool,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "MOST_SERIES", 2)
    await stored(gateway, objects, *(radiograph(StudyInstanceUID=STUDY) for _ in range(3)))
    app.state.imaging.start()
    await until_prepared(pool)
    assert kept(objects) == set()
    assert len(await told(viewer)) == 3
    assert len(kept(objects)) == 1
