"""Two hubs and a line between them: whatever is killed, and whenever, a study arrives whole, once, byte for byte."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from engine.clock import now
from engine.envelope import EnvelopeIds
from engine.store import access, imaging_outbox
from engine.store.imaging_outbox import ROUTINE, Prioritised, StudyOwed, payload_of
from engine.store.outbox import Owed
from pacs_gateway.location import Objects, open_object
from tests.conftest import named, unless_in_use
from tests.integration.faults.community import community
from tests.integration.faults.objects import IMAGING
from tests.integration.faults.serving import Served, serving, until
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw
from tests.integration.transfer.line import CutLine
from tests.ports import free_port

SMALL, LARGE = 20, 12
MOMENTS = ("web", "cut", "gateway", "cut", "cut", "web", "cut", "cut", "gateway", "cut")
"""The process that is killed, or the line alone that is cut."""
STUDY = str(generate_uid())
PATIENCE_SECS = 150.0
"""A process that was killed takes long to come back on a busy machine."""


@pytest.fixture
async def other_database_url(embedded_postgres: Any, postgres_url: str, _migrated_template: str) -> AsyncIterator[str]:
    """The receiving hub's."""
    administrator = await asyncpg.connect(postgres_url)
    try:
        await unless_in_use(administrator, f"create database other_hub template {_migrated_template} owner hutong")
        yield named(embedded_postgres.url, "other_hub")
    finally:
        await unless_in_use(administrator, "drop database if exists other_hub with (force)")
        await administrator.close()


@dataclass(frozen=True)
class Hubs:
    """One that sends, the line, and one that receives."""

    township: Served
    line: CutLine
    county: Served


@pytest.fixture
async def hubs(database_url: str, other_database_url: str) -> AsyncIterator[Hubs]:
    """Neither has begun yet. They end before their databases do; what they said is shown if the test fails."""
    port = free_port()
    line = CutLine(port)
    with (
        serving(receiving(port), only="web", database_url=other_database_url) as county,
        serving(sending(await line.start()), only="gateway", database_url=database_url) as township,
    ):
        yield Hubs(township, line, county)
        await line.close()
        sys.stdout.write(township.said() + county.said())


def objects(folder: Path) -> list[Path]:
    """Of one study: small images, and larger ones of noise that no compression shortens."""
    folder.mkdir()
    source = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(source, str)
    for number in range(SMALL + LARGE):
        made = pydicom.dcmread(source)
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.InstanceNumber = STUDY, f"{STUDY[:50]}.1", number
        if number >= SMALL:
            made.Rows, made.Columns, made.PixelData = 300, 500, os.urandom(300_000)
        made.save_as(folder / f"{made.SOPInstanceUID}.dcm")
    return sorted(folder.iterdir())


def receiving(port: int) -> Mapping[str, object]:
    """A port that nobody else takes while whoever listened on it is dead."""
    files = community({"his": {}, "imaging": IMAGING})
    place = files["community"]
    assert isinstance(place, dict)
    user = {"display": "白石乡", "facility": "baishi", "roles": ["sender"]}
    return {
        **files,
        "community": {**place, "http": {"host": "127.0.0.1", "port": port}},
        "users": {"users": {"baishi-hub": user}},
    }


def sending(port: int) -> Mapping[str, object]:
    files = community({"his": {}, "imaging": {**IMAGING, "port": free_port()}}, {"county": {}})
    return {
        **files,
        "endpoints/county": {
            "type": "hutong",
            "facility": "county",
            "url": f"http://127.0.0.1:{port}",
            "token": "file:token",
            "retry": {"first_secs": 0.1, "factor": 1.0, "max_secs": 0.1},
        },
    }


async def test_ends_killed_and_the_line_cut_at_ten_moments(hubs: Hubs, tmp_path: Path) -> None:
    township, line, county = hubs.township, hubs.line, hubs.county
    async with county.database() as there:
        (township.config / "token").write_text(await access.issue(there, "baishi-hub", now()))
    _, _, files = await asyncio.gather(
        county.start(), township.start(), asyncio.to_thread(objects, tmp_path / "objects")
    )
    statuses = await asyncio.to_thread(send_raw, township.run["dicom"]["port"], files)
    assert set(statuses) == {SUCCESS}
    line.go_on(0)
    async with township.database() as here, county.database() as there:
        await until("the study is indexed", lambda: has(here, len(files)), within_secs=PATIENCE_SECS)
        await owe(here)
        chance = random.Random(11)
        for left, moment in reversed(list(enumerate(reversed(MOMENTS)))):
            await until("the line stands still", line.stands.is_set, within_secs=PATIENCE_SECS)
            if moment != "cut":
                hub = county if moment == "web" else township
                await hub.kill(moment)
                await hub.revived(moment)
            line.cut()
            line.go_on(chance.randint(20_000, 200_000) if left else None)
        await until("the study has arrived", lambda: has(there, len(files)), within_secs=PATIENCE_SECS)
        await until("the delivery is closed", lambda: delivered(here), within_secs=PATIENCE_SECS)
        await identical(there, county.data / "objects", files)
        assert await there.fetchval("select count(*) from study_transfer where state = 'whole'") == 1
    assert line.carried < 2 * sum(file.stat().st_size for file in files), "it went on where it was"
    assert list((county.data / "objects" / "transfers").glob("*/*")) == []


async def has(database: asyncpg.Connection, count: int) -> bool:
    found: int = await database.fetchval("select count(*) from instance where study_uid = $1", STUDY)
    return found >= count


async def delivered(database: asyncpg.Connection) -> bool:
    state: str = await database.fetchval("select state from delivery where endpoint = 'county'")
    return state == "delivered"


async def owe(database: asyncpg.Connection) -> None:
    """As a route does."""
    at = now()
    number = EnvelopeIds(random.Random(1).getrandbits).next(at)
    owed = Owed(number, "county", STUDY, payload_of(StudyOwed("baishi", STUDY)), "to-county")
    async with database.transaction():
        await imaging_outbox.owe(database, [Prioritised(owed, ROUTINE)], at)


async def identical(database: asyncpg.Connection, folder: Path, files: list[Path]) -> None:
    rows = {row["sop_uid"]: row for row in await database.fetch("select * from instance")}
    assert len(rows) == len(files)
    assert not any(row["conflict"] for row in rows.values())
    for file in files:
        with open_object(Objects(folder), rows[file.name.removesuffix(".dcm")]["location"]) as kept:
            assert kept.read().endswith(data_set_of(file))
