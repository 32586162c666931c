"""What is stored is found by what a person knows of it."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.store import imaging, imaging_search, migrations
from engine.store.database import Connection
from engine.store.imaging import Instance
from engine.store.imaging_query import ImagingQuery, Level, Range

NOW = datetime(2026, 1, 2, 3, tzinfo=UTC)


def instance(study: str, series: str = "1", number: int = 1, facility: str = "baishi", **tags: str) -> Instance:
    series_uid = f"{study}.{series}"
    sop_uid = f"{series_uid}.{number}"
    known = {
        "patient_name": "张伟",
        "patient_id": f"P{study}",
        "accession": f"A{study}",
        "study_date": "20260102",
        "study_time": "101500",
        "modality": "CT",
        "series_number": series,
        "number": str(number),
    }
    known |= tags
    return Instance(
        sop_uid=sop_uid,
        facility=facility,
        sha256=sha256(f"{sop_uid}{facility}{tags}".encode()).digest(),
        study_uid=study,
        series_uid=series_uid,
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality=known["modality"],
        number=number,
        bytes=100,
        location=f"{facility}/{study}/x.dcm",
        tags=json.dumps({name: value for name, value in known.items() if value}, ensure_ascii=False),
        charset="{}",
        peer="CT@127.0.0.1:1",
        stored_at=NOW + timedelta(seconds=number),
    )


async def store(pool: asyncpg.Pool, *instances: Instance) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, "imaging", instances)


async def studies(pool: asyncpg.Pool, facility: str | None = "baishi", **asked: Any) -> list[str]:
    query = ImagingQuery(Level.STUDY, facility, **asked)
    async with pool.acquire() as connection:
        return sorted(key.study_uid for key in await imaging_search.find_keys(connection, query, limit=100))


NAMED = {
    "1": "张伟",
    "2": "Zhang^Wei=张^伟",
    "3": "ZHANGLI^FANG",
    "4": "欧阳^小东",
    "5": "Smith^John^A",
    "6": "O'Brien^Pat",
    "7": "<script>alert(1)</script>",
    "8": "",
    "9": "SMITH",
}
BY_NAME = [
    ("", "123456789"),
    ("*", "123456789"),
    ("**^*", "123456789"),
    ("张伟", "12"),
    ("张^伟", "12"),
    ("张*", "12"),
    ("=张*", "12"),
    ("*伟", "12"),
    ("?伟", "12"),
    ("zhangwei", "12"),
    ("ZHANG^WEI", "12"),
    ("zhang wei", "12"),
    ("Zhang*", "123"),
    ("zhang^*", "12"),
    ("ZHANG", ""),
    ("zw", "12"),
    ("zw*", "12"),
    ("*ANGW*", "12"),
    ("zh?ngwei", "12"),
    ("ouyang^xiaodong", "4"),
    ("oyxd", "4"),
    ("欧阳*", "4"),
    ("smith^j*", "5"),
    ("smith^*", "59"),
    ("smith", "9"),
    ("Smith^John^A^^", "5"),
    ("obrien*", "6"),
    ("O'BRIEN^PAT", "6"),
    ("<script>alert(1)</script>", "7"),
    ("' or 1=1 --", ""),
    ("%", "123456789"),
    ("zhang_wei", "12"),
    ("Zhang^Wei=张^伟", "12"),
    ("Zhang^Wei=李*", ""),
    ("*" * 300 + "z" + "*a" * 300, ""),
]


async def test_a_patient_is_found_by_characters_pinyin_and_initials(pool: asyncpg.Pool) -> None:
    await store(pool, *(instance(uid, patient_name=name) for uid, name in NAMED.items()))
    assert [(name, "".join(await studies(pool, patient_name=name))) for name, _ in BY_NAME] == BY_NAME


@pytest.fixture
async def four(pool: asyncpg.Pool) -> asyncpg.Pool:
    await store(
        pool,
        instance("1", "1", 1),
        instance("1", "1", 2),
        instance("1", "2", 1, modality="SR"),
        instance("2", study_date="20260103", study_time="2315", modality="DX", description="Chest 胸部"),
        instance("3", study_date="2026.02.01", study_time="", patient_id="P_%", accession=""),
        instance("4", study_date="20261301x", patient_id="", modality=""),
        instance("1", facility="qingxi"),
    )
    return pool


FOUND: list[tuple[dict[str, Any], str]] = [
    ({}, "1234"),
    ({"study_uids": ("1", "3", "77")}, "13"),
    ({"texts": {"patient_id": ("P1",)}}, "1"),
    ({"texts": {"patient_id": ("P*",)}}, "123"),
    ({"texts": {"patient_id": ("P?",)}}, "12"),
    ({"texts": {"patient_id": ("*2",)}}, "2"),
    ({"texts": {"patient_id": ("P_%",)}}, "3"),
    ({"texts": {"patient_id": ("P1", "P2")}}, "12"),
    ({"texts": {"patient_id": ("p1",)}}, ""),
    ({"texts": {"patient_id": ("' or 1=1 --",)}}, ""),
    ({"texts": {"patient_id": ("*",), "accession": ("A2",)}}, "2"),
    ({"texts": {"description": ("*胸*",)}}, "2"),
    ({"texts": {"description": ("?*",)}}, "2"),
    ({"dates": Range("20260102", "20260102")}, "1"),
    ({"dates": Range("20260102")}, "123"),
    ({"dates": Range(last="20260131")}, "12"),
    ({"times": Range("100000", "235959")}, "124"),
    ({"dates": Range("20260102", "20260103"), "times": Range("110000", "120000")}, ""),
    ({"dates": Range("20260102", "20260103"), "times": Range("110000", "120000"), "together": True}, ""),
    ({"dates": Range("20260102", "20260103"), "times": Range("110000", "233000"), "together": True}, "2"),
    ({"modalities": ("CT",)}, "13"),
    ({"modalities": ("SR", "DX")}, "12"),
    ({"modalities": ("?X",)}, "2"),
    ({"modalities": ("*",)}, "1234"),
    ({"patient_name": "zw", "texts": {"patient_id": ("P2",)}, "dates": Range("20260103", "20260103")}, "2"),
]


async def test_studies_are_found_by_their_keys(four: asyncpg.Pool) -> None:
    assert [(asked, "".join(await studies(four, **asked))) for asked, _ in FOUND] == FOUND


async def test_a_caller_sees_its_facility(four: asyncpg.Pool) -> None:
    assert await studies(four, facility="qingxi") == ["1"]
    assert await studies(four, facility=None, study_uids=("1",)) == ["1", "1"]
    assert await studies(four, facility="elsewhere") == []


async def test_an_answer_comes_newest_first_and_page_by_page(four: asyncpg.Pool) -> None:
    query = ImagingQuery(Level.STUDY, "baishi")
    async with four.acquire() as connection:
        pages = [await imaging_search.find_keys(connection, query, limit=3, offset=at) for at in (0, 3, 6)]
    assert [[key.study_uid for key in page] for page in pages] == [["3", "2", "1"], ["4"], []]


async def test_what_is_known_of_a_study_is_told_with_it(four: asyncpg.Pool) -> None:
    query = ImagingQuery(Level.STUDY, "baishi", study_uids=("1",))
    async with four.acquire() as connection:
        (found,) = await imaging_search.find_page(connection, query, limit=10)
        (read,) = await imaging_search.read(connection, Level.STUDY, [found.key])
    assert (found.modalities, found.series, found.instances) == (("CT", "SR"), 2, 3)
    assert found.attributes["patient_name"] == "张伟"
    assert "modality" not in found.attributes
    assert (read.attributes, read.instances) == (found.attributes, found.instances)
    assert read.content.sop_uid == "1.1.1"


async def test_series_and_instances_are_found_below_their_study(four: asyncpg.Pool) -> None:
    series = ImagingQuery(Level.SERIES, "baishi", study_uids=("1",), modalities=("CT",))
    images = ImagingQuery(Level.IMAGE, "baishi", study_uids=("1",), series_uids=("1.1",), texts={"number": ("2",)})
    async with four.acquire() as connection:
        (one,) = await imaging_search.find_page(connection, series, limit=10)
        (image,) = await imaging_search.find_page(connection, images, limit=10)
    assert (one.key.series_uid, one.instances, one.attributes["series_number"]) == ("1.1", 2, "1")
    assert (image.key.sop_uid, image.attributes["number"], image.content.sop_uid) == ("1.1.2", "2", "1.1.2")


async def test_a_patient_is_found_once_however_many_studies_there_are(pool: asyncpg.Pool) -> None:
    await store(
        pool,
        instance("1", patient_id="P1"),
        instance("2", patient_id="P1", study_date="20260104"),
        instance("3", patient_id=""),
        instance("4", patient_id="", patient_name="李四"),
        instance("5", patient_id="P1", facility="qingxi"),
    )
    async with pool.acquire() as connection:
        found = await imaging_search.find_page(connection, ImagingQuery(Level.PATIENT, "baishi"), limit=10)
    assert [(one.key.study_uid, one.studies, one.instances) for one in found] == [("2", 2, 2), ("3", 1, 1), ("4", 1, 1)]
    assert "accession" not in found[0].attributes


async def test_what_later_instances_add_is_found_and_what_contradicts_does_not_replace(pool: asyncpg.Pool) -> None:
    await store(pool, instance("1", accession="", patient_name="Zhang^Wei"))
    await store(pool, instance("1", number=2, accession="A9", patient_name="李四", modality="SR"))
    assert await studies(pool, texts={"accession": ("A9",)}) == ["1"]
    assert await studies(pool, patient_name="lisi") == ["1"]
    assert await studies(pool, modalities=("SR",)) == ["1"]
    async with pool.acquire() as connection:
        (found,) = await imaging_search.find_page(connection, ImagingQuery(Level.STUDY, "baishi"), limit=10)
    assert found.attributes["patient_name"] == "Zhang^Wei"
    assert (found.modalities, found.instances) == (("CT", "SR"), 2)


async def test_content_that_conflicts_is_neither_counted_nor_found(pool: asyncpg.Pool) -> None:
    await store(pool, instance("1"), instance("1", description="other content"), instance("1"))
    async with pool.acquire() as connection:
        (found,) = await imaging_search.find_page(connection, ImagingQuery(Level.IMAGE, None), limit=10)
        (study,) = await imaging_search.find_page(connection, ImagingQuery(Level.STUDY, None), limit=10)
    assert (study.instances, study.attributes.get("description")) == (1, None)
    assert found.key.sop_uid == "1.1.1"


async def test_an_enormous_list_of_uids_is_answered(four: asyncpg.Pool) -> None:
    assert await studies(four, study_uids=(*(f"9.{number}" for number in range(50_000)), "2")) == ["2"]


async def test_what_was_stored_before_there_was_an_index_is_found_alike(four: asyncpg.Pool) -> None:
    await store(
        four, instance("5", patient_name="Li^Si=李^四"), instance("5", number=2, patient_name="单雄信", age="030Y")
    )
    migration = importlib.import_module("engine.store.migrations.versions.0008_imaging_search")
    script = Path(migrations.__file__).parent / "0008_imaging_search.sql"
    async with four.acquire() as connection:
        written = await searched(connection)
        await connection.execute("drop table study_search, series")
        await connection.execute(script.read_text(encoding="utf-8"))
        await migration._add_names(connection)
        assert await searched(connection) == written


async def searched(connection: Connection) -> list[list[Any]]:
    """Everything that searches look at, in an order of its own."""
    studies = await connection.fetch("select * from study_search order by uid, facility")
    series = await connection.fetch("select * from series order by study_uid, facility, uid")
    return [[sorted(value) if isinstance(value, list) else value for value in row] for row in (*studies, *series)]
