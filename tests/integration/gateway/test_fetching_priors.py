"""Earlier studies of a patient come from an archive when an image is ordered: fitting ones, once, and nobody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.config import AeEntry
from engine.store.imaging_outbox import PriorsOwed
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.archives import ARCHIVE, ARCHIVES, Archive
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.owing import delivery_reaches, endpoint, owe, sending
from tests.integration.gateway.sending import SUCCESS, data_set_of, send_raw, stored, until

ORDERED = "1.9.9"
OWED = PriorsOwed(
    facility="baishi",
    patient_ids=["P0001"],
    modality="CR",
    study_uid=ORDERED,
    names=["Test^One"],
    birth_date="19700101",
    sex="F",
)
ENTRIES = (
    AeEntry(ae_title="DR_BAISHI", facility="baishi"),
    AeEntry(ae_title=ARCHIVE, facility="county"),
)


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(ae_entries=ENTRIES)


@pytest.fixture(params=sorted(ARCHIVES))
async def archive(
    request: pytest.FixtureRequest, gateway: Gateway, tmp_path: Path, free_port: int
) -> AsyncIterator[Archive]:
    async with ARCHIVES[request.param](tmp_path / "archive", free_port, gateway.port) as archive:
        yield archive


def study(write: Write, number: int, objects: int = 2, **attributes: Any) -> list[Path]:
    attributes = {"StudyDate": f"202601{number:02}", **attributes}
    return [
        write(
            StudyInstanceUID=f"1.5.{number}",
            SeriesInstanceUID=f"1.5.{number}.1",
            SOPInstanceUID=f"1.5.{number}.1.{one}",
            InstanceNumber=one,
            **attributes,
        )
        for one in range(1, objects + 1)
    ]


def asking(archive: Archive, **priors: Any) -> Any:
    within = {"within_days": 36_500}
    return endpoint(archive.port, ae_title=ARCHIVE, priors={**within, **priors})


@pytest.mark.parametrize("retrieve", ["move", "get"])
async def test_earlier_studies_come_whole_and_as_they_are_and_nobody_elses(
    retrieve: str, archive: Archive, gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str,
    objects: Path
) -> None:  # fmt: skip
    ours = [*study(radiograph, 1), *study(radiograph, 2)]
    others = [
        *study(radiograph, 3, PatientID="P0002"),
        *study(radiograph, 4, PatientBirthDate="19800202", PatientName="Somebody^Else"),
    ]
    await asyncio.to_thread(archive.keep, [*ours, *others])
    # Of the first study one object is here already: it must not come again.
    assert await asyncio.to_thread(send_raw, gateway.port, ours[:1]) == [SUCCESS]
    await stored(pool, objects)
    await owe(pool, OWED)
    async with sending(database_url, objects, asking(archive, retrieve=retrieve), reception=gateway.reception):
        delivery = await delivery_reaches(pool, "delivered", ORDERED)
        rows = await stored(pool, objects)
        assert sorted(rows) == ["1.5.1.1.1", "1.5.1.1.2", "1.5.2.1.1", "1.5.2.1.2"]
        assert [row["facility"] for row in rows.values()] == ["baishi", "county", "county", "county"]
        assert json.loads(delivery["receipt"]) == {"studies": 2, "fetched": 2, "already_here": 0}
        await owe(pool, OWED)
        again = await delivery_reaches(pool, "delivered", ORDERED)
        assert json.loads(again["receipt"]) == {"studies": 2, "fetched": 0, "already_here": 2}
    assert await pool.fetchval("select count(*) from instance") == 4
    findings = await pool.fetch("select code, about, text from finding order by code")
    assert {(one["code"], one["about"]) for one in findings} == {
        ("prior-of-another-patient", f"ImagingStudy/{ORDERED}")
    }
    assert "1 by date of birth" in findings[0]["text"]
    fetched = await pool.fetchrow("select * from instance where sop_uid = '1.5.2.1.1'")
    assert fetched["peer"].startswith(f"{ARCHIVE}@")
    assert fetched["bytes"] == len(data_set_of(ours[2]))


async def test_only_so_many_come_those_of_the_same_kind_first(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, tmp_path: Path,
    free_port: int
) -> None:  # fmt: skip
    async with ARCHIVES["dcmqrscp"](tmp_path / "archive", free_port, gateway.port) as archive:
        files = [
            *study(radiograph, 1, 1),
            *study(radiograph, 2, 1, Modality="US"),
            *study(radiograph, 3, 1, StudyDescription="CHEST PA"),
            *study(radiograph, 4, 1, Modality="US"),
            *study(radiograph, 5, 1, StudyDate="19990101", StudyDescription="CHEST PA"),
        ]
        await asyncio.to_thread(archive.keep, files)
        await owe(pool, PriorsOwed("baishi", ["P0001", "*", "P000?"], "CR", ORDERED, body_part="Chest"))
        async with sending(database_url, objects, asking(archive, most=2, within_days=9125), reception=None):
            delivery = await delivery_reaches(pool, "delivered", ORDERED)
            assert sorted(await stored(pool, objects)) == ["1.5.1.1.1", "1.5.3.1.1"]
        assert json.loads(delivery["receipt"])["studies"] == 4


async def test_an_archive_that_does_not_know_us_is_told_of(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, tmp_path: Path,
    free_port: int
) -> None:  # fmt: skip
    async with ARCHIVES["dcmqrscp"](tmp_path / "archive", free_port, gateway.port) as archive:
        await asyncio.to_thread(archive.keep, study(radiograph, 1))
        await owe(pool, OWED)
        unknown = endpoint(archive.port, ae_title=ARCHIVE, calling_ae_title="STRANGER", priors={"within_days": 36_500})
        async with sending(database_url, objects, unknown):
            await delivery_reaches(pool, "refused", ORDERED)
    text = await pool.fetchval("select text from finding where code = 'delivery-refused'")
    assert "does not know where to move objects to" in text


async def test_an_archive_that_is_away_is_asked_until_it_is_back(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, tmp_path: Path,
    free_port: int
) -> None:  # fmt: skip
    await owe(pool, OWED)
    async with sending(database_url, objects, asking(Archive(free_port, tmp_path)), reception=None):

        async def asked() -> bool:
            return bool(await pool.fetchval("select count(*) from delivery_attempt"))

        await until(asked)
        async with ARCHIVES["dcmqrscp"](tmp_path / "archive", free_port, gateway.port):
            delivery = await delivery_reaches(pool, "delivered", ORDERED)
    assert json.loads(delivery["receipt"]) == {"studies": 0, "fetched": 0, "already_here": 0}
