"""A person can list what is not whole, read what is missing, and say that it will not come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import asyncpg
import httpx
import pytest

from engine import config
from engine.api.app import create_app
from engine.api.services import Services
from engine.mapping import MappingSet
from engine.store import access, transfers
from engine.store.announcements import Announced, Source
from engine.store.transfers import Direction, Transfer
from engine.store.wholeness import State
from tests.integration.whole.conftest import START, STUDY, Scene, named, uid

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


@pytest.fixture
async def console(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with pool.acquire() as connection:
        await access.ensure_admin_token(connection, tmp_path, START)
    token = (tmp_path / "admin.token").read_text().strip()
    services = Services(
        pool=pool, config=config.load(EXAMPLE), clock=lambda: START, mapping_set=MappingSet.load(tmp_path, [])
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(services)),
        base_url="http://hub",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


@pytest.fixture
async def short(scene: Scene) -> Scene:
    """A study of which two of three instances are missing."""
    await scene.announce(named(1, 2, 3))
    await scene.store(1)
    scene.after(60)
    assert await scene.judged(scene.watcher()) is State.SHORT
    return scene


async def test_studies_are_listed_by_their_state(console: httpx.AsyncClient, short: Scene) -> None:
    await short.store(4, study="1.2.4")
    (line,) = (await console.get("/api/studies", params={"state": "short"})).json()["studies"]
    assert (line["uid"], line["state"], line["instances"], line["announced"]) == (STUDY, "short", 1, 3)
    assert (line["missing"], line["missing_uids"], line["sources"]) == (2, [uid(2), uid(3)], ["mpps"])
    assert (line["accession"], line["modalities"]) == ("A1", ["CT"])
    everything = (await console.get("/api/studies")).json()
    assert {one["uid"] for one in everything["studies"]} == {STUDY, "1.2.4"}
    first = (await console.get("/api/studies", params={"limit": 1})).json()
    second = (await console.get("/api/studies", params={"limit": 1, "after": first["next"]})).json()
    assert [one["uid"] for one in first["studies"] + second["studies"]] == [one["uid"] for one in everything["studies"]]


async def test_one_study_tells_everything_that_is_missing(console: httpx.AsyncClient, short: Scene) -> None:
    (line,) = (await console.get(f"/api/studies/{STUDY}")).json()
    assert line["missing_uids"] == [uid(2), uid(3)]
    assert (await console.get("/api/studies/9.9")).status_code == 404
    assert (await console.get("/api/studies", params={"after": "x"})).status_code == 400


async def test_a_manifest_tells_every_instance_with_its_hash_and_who_announced_what(
    console: httpx.AsyncClient, short: Scene
) -> None:
    await short.announce([Announced(study_uid=STUDY, count=4)], Source.QUERY, "CT/1")
    (manifest,) = (await console.get(f"/api/studies/{STUDY}/manifest")).json()
    assert [(one["sop_uid"], one["sha256"]) for one in manifest["instances"]] == [(uid(1), sha256(b"1").hexdigest())]
    said = [(one["source"], one["said_by"], one["named"], one["counted"]) for one in manifest["announced"]]
    assert said == [("mpps", "CT", 3, None), ("query", "CT", 0, 4)]
    assert manifest["study"]["missing_uids"] == [uid(2), uid(3)]
    assert (await console.get("/api/studies/9.9/manifest")).status_code == 404


async def test_a_person_says_that_what_is_missing_will_not_come(
    console: httpx.AsyncClient, short: Scene, pool: asyncpg.Pool
) -> None:
    answer = await console.post(f"/api/studies/{STUDY}/waive", json={"why": "deleted at the CT"})
    assert answer.status_code == 200
    assert await short.judged(short.watcher()) is State.WHOLE
    assert await pool.fetchval("select count(*) from audit where action = 'waive-missing'") == 1
    again = await console.post(f"/api/studies/{STUDY}/waive", json={"why": "once more"})
    assert (again.status_code, again.json()["code"]) == (409, "nothing-missing")


async def test_studies_on_their_way_are_listed_with_how_far_they_have_come(
    console: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    async with pool.acquire() as connection:
        for name, direction in (("a", Direction.OUT), ("b", Direction.IN)):
            moving = Transfer(name * 64, direction, "county", "baishi", STUDY, 13, 1000, 0)
            await transfers.begun(connection, moving, START)
            await transfers.begun(connection, replace(moving, done_bytes=400), START)
        await transfers.ended(connection, "b" * 64, Direction.IN, "county", whole=True, at=START)
    found = (await console.get("/api/transfers")).json()["transfers"]
    assert [(one["direction"], one["state"], one["done_bytes"]) for one in found] == [
        ("out", "moving", 400),
        ("in", "whole", 1000),
    ]
