"""Stored studies are fetched by WADO-RS as they are, and nothing by whoever may not."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.fetching import RELATED, kept, parts_of, series_of, study_of
from tests.integration.gateway.sending import data_set_of
from tests.integration.gateway.serving import Somebody, application, client_of


async def test_a_study_and_a_series_come_with_all_their_instances(
    gateway: Gateway, viewer: httpx.AsyncClient, radiograph: Write, objects: Path
) -> None:
    study, series = "1.2.826.0.1.1", "1.2.826.0.1.1.1"
    files = [radiograph(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=n) for n in (2, 1)]
    files.append(radiograph(StudyInstanceUID=study, SeriesInstanceUID=series + ".9"))
    path = await kept(gateway, objects, *files)
    answer = await viewer.get(study_of(path), headers={"accept": RELATED})
    assert answer.status_code == 200
    bodies = [body for _, body in parts_of(answer)]
    for body, file in zip(bodies, (files[1], files[0], files[2]), strict=True):
        assert body.endswith(data_set_of(file))
    of_series = await viewer.get(series_of(path), headers={"accept": f"{RELATED}; transfer-syntax=*"})
    assert len(parts_of(of_series)) == 2


async def test_a_large_object_is_not_held_in_memory(
    gateway: Gateway, radiograph: Write, objects: Path, pool: asyncpg.Pool
) -> None:
    path = await kept(gateway, objects, radiograph(PixelData=bytes(40_000_000), Rows=4000, Columns=5000))
    app = application(pool, objects, Somebody())
    sent = 0

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [],
        "query_string": b"",
        "scheme": "http",
        "server": ("hub", 80),
    }
    await app({**scope, "path": "/dicomweb/studies/1/metadata"}, receive, send)
    tracemalloc.start()
    await app(scope, receive, send)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent > 40_000_000
    assert peak < 8_000_000


async def test_what_another_facility_stored_under_the_same_uids_does_not_hide_ones_own(
    gateway: Gateway, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    uids = {"StudyInstanceUID": "1.2.5", "SeriesInstanceUID": "1.2.5.1", "SOPInstanceUID": "1.2.5.1.1"}
    first, second = radiograph(**uids, PatientID="P1"), radiograph(**uids, PatientID="P2")
    path = await kept(gateway, objects, first, calling="DR_QINGXI")
    await kept(gateway, objects, second, calling="DR_BAISHI")
    for facility, file in (("qingxi", first), ("baishi", second), ("county", first)):
        async with client_of(application(pool, objects, Somebody(facility=facility))) as client:
            answer = await client.get(path, headers={"accept": "application/dicom"})
            assert answer.content.endswith(data_set_of(file))
            assert len((await client.get(f"{study_of(path)}/metadata")).json()) == 1


async def test_nothing_is_told_to_nobody_and_every_look_is_audited(
    gateway: Gateway, viewer: httpx.AsyncClient, pool: asyncpg.Pool, radiograph: Write, objects: Path
) -> None:
    path = await kept(gateway, objects, radiograph())
    asked = [path, study_of(path), f"{path}/metadata", f"{path}/frames/1", f"{path}/bulkdata/7FE00010"]
    async with client_of(application(pool, objects, None)) as stranger:
        assert {(await stranger.get(one)).status_code for one in asked} == {401}
    assert await pool.fetchval("select count(*) from audit") == 0
    await asyncio.gather(*(viewer.get(one) for one in asked))
    rows = await pool.fetch("select actor, action, subject from audit")
    # A look at an instance, or at what is in it, is one at its series; what is repeated within a minute is there once.
    assert [tuple(row) for row in rows] == [("wang", "read", f"ImagingStudy/{path.split('/')[3]}")] * 2


@pytest.mark.parametrize("uid", ["9.9", "..", "a%00b", "1" * 65, "%E4%BD%A0"])
async def test_what_is_no_uid_or_not_stored_is_not_found(viewer: httpx.AsyncClient, uid: str) -> None:
    for path in (f"/studies/1/series/1/instances/{uid}", f"/studies/1/series/{uid}/metadata"):
        assert (await viewer.get(f"/dicomweb{path}")).status_code == 404
