"""A person finds a study by what he knows of it, also one that does not wait and one of which nothing is served."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import asyncpg
import httpx
import pytest

from engine.store import imaging
from engine.store.instances import Instance

AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SHI, WANG = "1.2.3", "1.2.4"
Admin = httpx.AsyncClient
Json = dict[str, Any]


def of_study(study: str, number: int, **tags: str) -> Instance:
    return Instance(
        sop_uid=f"{study}.1.{number}",
        facility="baishi",
        sha256=sha256(f"{study} {number}".encode()).digest(),
        study_uid=study,
        series_uid=f"{study}.1",
        sop_class="1.2.840.10008.5.1.4.1.1.1.1",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="DX",
        number=number,
        bytes=100,
        location=f"baishi/{study}/{number}.dcm",
        tags=json.dumps({"study_date": "20260302", "modality": "DX", **tags}, ensure_ascii=False),
        charset=json.dumps({"declared": "ISO_IR 192", "used": "utf-8", "doubtful": False, "findings": {}}),
        peer="DR_BAISHI@10.0.0.7:1234",
        stored_at=AT - timedelta(hours=1),
    )


@pytest.fixture(autouse=True)
async def studies(pool: asyncpg.Pool) -> None:
    """Two, of which none waits."""
    shi = {"patient_id": "BS0001", "patient_name": "Shi^Xiuying=石^秀英", "accession": "ACC1"}
    wang = {"patient_id": "BS0002", "patient_name": "Wang^Fang=王^芳", "accession": "ACC2"}
    objects = [of_study(SHI, 1, **shi), of_study(SHI, 2, **shi), of_study(WANG, 1, **wang)]
    async with pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, "imaging", objects)


async def found(admin: Admin, said: str, **more: str) -> list[Json]:
    answer = await admin.get("/api/reconcile/find", params={"said": said, **more})
    assert answer.status_code == 200, answer.text
    studies: list[Json] = answer.json()
    return studies


async def decide(admin: Admin, study: str, action: str, **body: Any) -> int:
    revision = (await admin.get(f"/api/reconcile/studies/baishi/{study}")).json()["revision"]
    answer = await admin.post(
        f"/api/reconcile/studies/baishi/{study}/{action}", json={"revision": revision, "reason": "looked at it", **body}
    )
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["number"]
    return number


async def test_by_name_pinyin_number_accession_and_uid(admin: Admin) -> None:
    for said in (SHI, "ACC1", "BS0001", "石秀英", "秀英", "shixiuying", "Shi Xiuying", "sxy", "石*"):
        (study,) = await found(admin, said)
        assert (study["study_uid"], study["facility"], study["patient_name"]) == (SHI, "baishi", "Shi^Xiuying=石^秀英")
        assert (study["objects"], study["decisions"], study["kinds"], study["decided_at"]) == (2, 0, [], None)


async def test_the_beginning_of_a_number_finds_all_that_begin_so(admin: Admin) -> None:
    assert {one["study_uid"] for one in await found(admin, "BS000")} == {SHI, WANG}
    assert await found(admin, "BS000", facility="another") == []


async def test_what_means_no_study_finds_none_and_what_says_nothing_or_too_much_is_refused(admin: Admin) -> None:
    for said in ("9.9.9", "nobody", "*", "??", "-", "'; drop table study; --", "%", "\\", "<b>", "=" * 200):
        assert await found(admin, said) == [], said
    for said in ("", " ", "a" * 201, "a\x00"):
        assert (await admin.get("/api/reconcile/find", params={"said": said})).status_code == 422


async def test_a_study_that_was_rejected_is_found_with_its_decision_and_comes_back(admin: Admin) -> None:
    number = await decide(admin, SHI, "reject", title="patient-safety")
    for said in (SHI, "ACC1", "石秀英"):
        (study,) = await found(admin, said)
        assert (study["objects"], study["decisions"], study["patient_name"]) == (0, 1, "Shi^Xiuying=石^秀英")
    undone = await admin.post(f"/api/reconcile/decisions/{number}/undo", json={"reason": "it was right"})
    assert undone.status_code == 200
    (study,) = await found(admin, "ACC1")
    assert (study["objects"], study["decisions"]) == (2, 0)
    assert study["decided_at"] is not None


async def test_a_part_that_was_split_off_is_found_by_the_patient_of_both(admin: Admin) -> None:
    await decide(admin, SHI, "split", instances=[f"{SHI}.1.2"])
    both = await found(admin, "BS0001")
    assert {(one["objects"], one["decisions"]) for one in both} == {(1, 1)}
    assert len(both) == 2


async def test_a_part_of_another_patient_is_found_by_that_patient_also_when_it_was_rejected(
    admin: Admin, pool: asyncpg.Pool
) -> None:
    mine = of_study(SHI, 3, patient_id="BS0009", patient_name="Zhao^Yan=赵^燕", accession="ACC9")
    async with pool.acquire() as connection, connection.transaction():
        await imaging.record(connection, "imaging", [mine])
    await decide(admin, SHI, "split", instances=[mine.sop_uid])
    await decide(admin, SHI, "reject", title="worklist")
    for said in ("赵燕", "BS0009", "ACC9"):
        studies = await found(admin, said)
        assert {(one["objects"], one["patient_name"]) for one in studies} == {
            (0, "Shi^Xiuying=石^秀英"),
            (1, "Zhao^Yan=赵^燕"),
        }
    split = next(one["study_uid"] for one in studies if one["objects"] == 1)
    await pool.execute("update study set last_stored_at = $1", AT - timedelta(hours=1))
    await decide(admin, split, "reject", title="worklist")
    (study,) = await found(admin, split)
    assert (study["objects"], study["patient_name"]) == (0, "Zhao^Yan=赵^燕")


async def test_what_was_decided_last_comes_first_page_by_page(admin: Admin) -> None:
    await decide(admin, SHI, "reject", title="quality")
    await decide(admin, WANG, "reject", title="quality")
    first = (await admin.get("/api/reconcile/decided", params={"limit": 1})).json()
    assert [one["study_uid"] for one in first["studies"]] == [WANG]
    second = (await admin.get("/api/reconcile/decided", params={"limit": 1, "after": first["next"]})).json()
    assert [one["study_uid"] for one in second["studies"]] == [SHI]
    assert (await admin.get("/api/reconcile/decided", params={"after": second["next"]})).json() == {
        "studies": [],
        "next": None,
    }


async def test_finding_is_audited_and_only_for_those_who_run_the_hub(
    admin: Admin, reader: Admin, pool: asyncpg.Pool
) -> None:
    await found(admin, "ACC1")
    assert await pool.fetchval("select count(*) from audit where action = 'search'") == 1
    for path in ("/api/reconcile/find?said=ACC1", "/api/reconcile/decided"):
        assert (await reader.get(path)).status_code == 403
