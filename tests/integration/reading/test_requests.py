"""A request walks from the worklist to the requester, over HTTP and in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from engine import centres
from engine.api.services import Services
from engine.centres.report import observed_id
from engine.codecs import er7
from engine.store import records
from engine.store.records import Change
from tests.integration.reading.conftest import CONCLUSION, NOW, OBSERVED, Arrive, Examination, signed, written

ClientOf = Callable[[str], Awaitable[httpx.AsyncClient]]


async def stored(pool: asyncpg.Pool, resource_type: str, resource_id: str) -> dict[str, Any]:
    async with pool.acquire() as connection:
        found = await records.read(connection, resource_type, resource_id)
    assert found is not None
    return found.body


async def test_the_worklist_says_what_a_reader_needs_to_choose(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    worklist = (await wang.get("/api/requests")).json()
    (row,) = worklist["requests"]
    assert row["id"] == waiting
    assert row["state"] == "waiting"
    assert row["state_display"] == "待领取"
    assert row["patient"]["name"] == "赵小燕"
    assert (row["patient"]["sex"], row["patient"]["age"], row["patient"]["local_id"]) == ("female", "35岁", "BS0001")
    assert row["facility"] == {"code": "baishi", "name": "白石乡卫生院"}
    assert (row["modality"], row["procedure"], row["accession"]) == ("DX", "胸部正位DR", "A26030001")
    assert row["images"] == 2
    assert row["waiting_since"] == "2026-03-02T08:10:00Z"
    assert row["reader"] is None
    assert worklist["counts"]["waiting"] == 1
    assert worklist["counts"]["claimed"] == 0


async def test_the_urgent_come_first_and_then_the_oldest(client_of: ClientOf, arrive: Arrive) -> None:
    old = await arrive(Examination(placer="BS1", examined_at=NOW - timedelta(hours=5)))
    new = await arrive(Examination(placer="BS2", examined_at=NOW - timedelta(minutes=5)))
    urgent = await arrive(Examination(placer="BS3", priority="stat", examined_at=NOW))
    rows = (await (await client_of("wang")).get("/api/requests")).json()["requests"]
    assert [row["id"] for row in rows] == [urgent, old, new]


async def test_a_reader_sees_the_requests_of_the_own_centre_only(client_of: ClientOf, arrive: Arrive) -> None:
    imaging = await arrive(Examination(placer="BS1"))
    ecg = await arrive(Examination(placer="BS2", modality="ECG", centre="county-ecg"))
    wang, chen = await client_of("wang"), await client_of("chen")
    assert [row["id"] for row in (await wang.get("/api/requests")).json()["requests"]] == [imaging]
    assert [row["id"] for row in (await chen.get("/api/requests")).json()["requests"]] == [ecg]
    refused = await wang.get(f"/api/requests/{ecg}")
    assert (refused.status_code, refused.json()["code"]) == (403, "not-a-reader")
    assert (await wang.get("/api/requests", params={"centre": "county-ecg"})).status_code == 404


@pytest.mark.parametrize("user", ["liu", "he"])
async def test_a_clinician_is_no_reader(client_of: ClientOf, waiting: str, user: str) -> None:
    clinician = await client_of(user)
    assert (await clinician.get("/api/requests")).status_code == 403
    assert (await clinician.post(f"/api/requests/{waiting}/claim")).status_code == 403


async def test_of_many_who_claim_at_once_exactly_one_gets_it(client_of: ClientOf, waiting: str) -> None:
    claimants = [await client_of(user) for user in ("wang", "li", "wang", "li", "wang", "li")]
    answers = await asyncio.gather(*(one.post(f"/api/requests/{waiting}/claim") for one in claimants))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already-claimed"}


async def test_the_view_offers_what_is_allowed_and_says_why_the_rest_is_not(client_of: ClientOf, waiting: str) -> None:
    wang, li = await client_of("wang"), await client_of("li")
    view = (await wang.get(f"/api/requests/{waiting}")).json()
    assert "claim" not in view["refused"]
    assert view["two_person"] is True
    assert view["reason"] == "咳嗽、发热 3 天"
    (study,) = view["studies"]
    assert [image["number"] for image in study["series"][0]["instances"]] == [1, 2]
    uid = study["uid"]
    assert study["series"][0]["instances"][0]["rendered"] == (
        f"/dicomweb/studies/{uid}/series/{uid}.1/instances/{uid}.1.1/rendered"
    )
    await written(wang, waiting)
    mine, theirs = [(await one.get(f"/api/requests/{waiting}")).json()["refused"] for one in (wang, li)]
    assert mine["approve"] == "not-a-reviewer"
    assert "approve" not in theirs


async def test_the_view_tells_the_note_of_the_order_and_what_allergies_are_known(
    client_of: ClientOf, arrive: Arrive, pool: asyncpg.Pool
) -> None:
    examination = Examination(extra={"note": [{"text": "需轮椅"}, {"text": "请先电话联系"}]})
    request = await arrive(examination)

    def allergy(number: str, text: str, verified: str) -> Change:
        status = {"coding": [{"code": verified}]}
        patient = {"reference": f"Patient/{examination.patient_id}"}
        body = {"resourceType": "AllergyIntolerance", "id": number, "patient": patient, "code": {"text": text}}
        return Change({**body, "verificationStatus": status})

    known = [allergy("a", "青霉素", "confirmed"), allergy("b", "青霉素", "confirmed"), allergy("c", "碘", "refuted")]
    async with pool.acquire() as connection, connection.transaction():
        await records.put_many(connection, known, NOW)
    view = (await (await client_of("wang")).get(f"/api/requests/{request}")).json()
    assert view["note"] == "需轮椅；请先电话联系"
    assert view["allergies"] == ["青霉素"]


async def test_the_draft_is_kept_and_an_outdated_one_is_refused(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    claimed = (await wang.post(f"/api/requests/{waiting}/claim")).json()
    draft = {"observed": "一", "conclusion": "二", "revision": claimed["report"]["revision"]}
    first = await wang.post(f"/api/requests/{waiting}/draft", json=draft)
    assert first.status_code == 200
    assert (first.json()["report"]["observed"], first.json()["report"]["conclusion"]) == ("一", "二")
    outdated = await wang.post(f"/api/requests/{waiting}/draft", json={**draft, "observed": "三"})
    assert (outdated.status_code, outdated.json()["code"]) == (409, "draft-changed")
    assert (await wang.get(f"/api/requests/{waiting}")).json()["report"]["observed"] == "一"


async def test_an_unchanged_draft_makes_no_new_version(client_of: ClientOf, waiting: str, pool: asyncpg.Pool) -> None:
    wang = await client_of("wang")
    await wang.post(f"/api/requests/{waiting}/claim")
    for _ in range(3):
        await wang.post(f"/api/requests/{waiting}/draft", json={"observed": OBSERVED, "conclusion": CONCLUSION})
    versions = await pool.fetchval("select version from resource where type = 'DiagnosticReport'")
    assert versions == 2


async def test_a_signed_report_is_final_everywhere_and_owed_to_the_requester(
    client_of: ClientOf, waiting: str, pool: asyncpg.Pool
) -> None:
    view = await signed(await client_of("wang"), await client_of("li"), waiting)
    examination = Examination()
    assert view["request"]["state"] == "signed"
    assert view["report"]["interpreters"] == ["王影像", "李审核"]
    report = await stored(pool, "DiagnosticReport", examination.report)
    assert (report["status"], report["conclusion"]) == ("final", CONCLUSION)
    observation = await stored(pool, "Observation", observed_id(report))
    assert (observation["status"], observation["valueString"]) == ("final", OBSERVED)
    for person in report["resultsInterpreter"]:
        practitioner = await stored(pool, *person["reference"].split("/"))
        assert practitioner["name"] == [{"text": person["display"]}]
    (owed,) = await pool.fetch("select endpoint, state, about, control_id, payload, route from delivery")
    assert (owed["endpoint"], owed["state"]) == ("baishi-his", "owed")
    assert owed["about"] == f"Task/{waiting}"
    assert owed["route"] == "signed-report-back-to-the-requester"
    message = er7.parse(owed["payload"])
    assert message.message_type == "ORU^R01"
    (header,) = [segment for segment in message.segments if segment.name == "MSH"]
    assert header.value(10) == owed["control_id"]
    assert view["returns"][0]["state"] == "owed"


async def test_a_request_is_returned_once_the_requester_acknowledged(
    client_of: ClientOf, waiting: str, pool: asyncpg.Pool
) -> None:
    wang = await client_of("wang")
    await signed(wang, await client_of("li"), waiting)
    async with pool.acquire() as connection, connection.transaction():
        found = await records.read(connection, "Task", waiting)
        assert found is not None
        await records.put_many(connection, [Change(centres.returned(found.body, NOW))], NOW)
    assert (await wang.get("/api/requests")).json()["requests"] == []
    (row,) = (await wang.get("/api/requests", params={"state": "returned"})).json()["requests"]
    assert row["id"] == waiting
    assert (await stored(pool, "Task", waiting))["status"] == "completed"


async def test_nothing_is_signed_when_nothing_can_be_owed(
    client_of: ClientOf, waiting: str, pool: asyncpg.Pool
) -> None:
    wang, li = await client_of("wang"), await client_of("li")
    await written(wang, waiting)
    await li.post(f"/api/requests/{waiting}/review", json={"decision": "approve"})
    await pool.execute("alter table delivery add constraint full_disk check (false)")
    assert (await li.post(f"/api/requests/{waiting}/sign")).status_code == 500
    assert (await stored(pool, "DiagnosticReport", Examination().report))["status"] == "preliminary"
    assert (await wang.get(f"/api/requests/{waiting}")).json()["request"]["state"] == "reviewed"


async def test_a_report_that_no_route_returns_is_a_finding(
    client_of: ClientOf, arrive: Arrive, pool: asyncpg.Pool
) -> None:
    request = await arrive(Examination(facility="liushu"))
    await signed(await client_of("wang"), await client_of("li"), request)
    assert await pool.fetchval("select count(*) from delivery") == 0
    (finding,) = await pool.fetch("select code, about from finding")
    assert (finding["code"], finding["about"]) == ("report-not-owed", f"Task/{request}")


async def test_the_writer_may_not_review_even_as_a_reviewer(client_of: ClientOf, waiting: str) -> None:
    li = await client_of("li")
    await written(li, waiting)
    refused = await li.post(f"/api/requests/{waiting}/review", json={"decision": "approve"})
    assert (refused.status_code, refused.json()["code"]) == (409, "same-person")


async def test_a_report_sent_back_is_changed_and_submitted_again(client_of: ClientOf, waiting: str) -> None:
    wang, li = await client_of("wang"), await client_of("li")
    await written(wang, waiting)
    back = await li.post(f"/api/requests/{waiting}/review", json={"decision": "return", "comment": "请描述心影"})
    assert back.json()["request"]["state"] == "claimed"
    again = await wang.post(f"/api/requests/{waiting}/draft", json={"observed": "心影不大。", "conclusion": "正常。"})
    assert again.status_code == 200
    assert (await wang.post(f"/api/requests/{waiting}/submit")).json()["request"]["state"] == "preliminary"
    steps = (await li.get(f"/api/requests/{waiting}")).json()["steps"]
    assert [(step["action"], step["comment"]) for step in steps if step["comment"]] == [("send-back", "请描述心影")]


async def test_every_act_is_audited_with_its_person(client_of: ClientOf, waiting: str, pool: asyncpg.Pool) -> None:
    await signed(await client_of("wang"), await client_of("li"), waiting)
    acts = await pool.fetch("select actor, action from audit where subject = $1 order by id", f"Task/{waiting}")
    assert [tuple(act) for act in acts] == [
        ("wang", "claim"),
        ("wang", "write"),
        ("wang", "submit"),
        ("li", "approve"),
        ("li", "sign"),
    ]


async def test_reading_a_request_is_audited(client_of: ClientOf, waiting: str, pool: asyncpg.Pool) -> None:
    await (await client_of("wang")).get(f"/api/requests/{waiting}")
    acts = await pool.fetch("select actor, action, subject from audit order by id")
    assert ("wang", "read", f"Patient/{Examination().patient_id}") in [tuple(act) for act in acts]


async def test_looking_again_at_what_has_not_changed_is_no_second_disclosure(
    client_of: ClientOf, waiting: str, pool: asyncpg.Pool
) -> None:
    wang = await client_of("wang")
    for path in ("/api/requests", f"/api/requests/{waiting}"):
        first = await wang.get(path)
        audited = await pool.fetchval("select count(*) from audit")
        again = await wang.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert await pool.fetchval("select count(*) from audit") == audited
    await wang.post(f"/api/requests/{waiting}/claim")
    assert (await wang.get(path, headers={"If-None-Match": first.headers["ETag"]})).status_code == 200


@pytest.mark.parametrize(
    "draft",
    [
        {"observed": "含\u0000空", "conclusion": "x"},
        {"observed": "x", "conclusion": "响铃\u0007"},
        {"observed": "长" * 20_001, "conclusion": "x"},
        {"observed": "x"},
        {"observed": "x", "conclusion": "y", "status": "final"},
        {"observed": 5, "conclusion": "y"},
    ],
)
async def test_a_text_that_cannot_be_kept_is_refused_whole(
    client_of: ClientOf, waiting: str, draft: dict[str, Any]
) -> None:
    wang = await client_of("wang")
    await wang.post(f"/api/requests/{waiting}/claim")
    refused = await wang.post(f"/api/requests/{waiting}/draft", json=draft)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid-request")
    assert (await wang.get(f"/api/requests/{waiting}")).json()["report"]["observed"] == ""


async def test_half_a_character_is_refused_not_a_crash(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    await wang.post(f"/api/requests/{waiting}/claim")
    body = b'{"observed": "\\ud800", "conclusion": "x"}'
    answer = await wang.post(
        f"/api/requests/{waiting}/draft", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("text", ["第一行\n第二行\t缩进", "𠮷野家 ½ <b>粗</b> | ^ ~ \\ &", "a" * 20_000])
async def test_what_people_write_is_kept_as_written(client_of: ClientOf, waiting: str, text: str) -> None:
    wang = await client_of("wang")
    await wang.post(f"/api/requests/{waiting}/claim")
    view = (await wang.post(f"/api/requests/{waiting}/draft", json={"observed": text, "conclusion": text})).json()
    assert view["report"]["observed"] == text
    assert view["report"]["conclusion"] == text


@pytest.mark.parametrize("path", ["/api/requests/none", "/api/requests/none/claim", "/api/requests/%00/claim"])
async def test_an_unknown_request_is_not_found(client_of: ClientOf, path: str) -> None:
    wang = await client_of("wang")
    answer = await (wang.post(path) if path.endswith("claim") else wang.get(path))
    assert answer.status_code in (404, 422)


async def test_earlier_reports_of_the_same_person_come_from_every_facility(client_of: ClientOf, arrive: Arrive) -> None:
    wang, li = await client_of("wang"), await client_of("li")
    await signed(wang, li, await arrive(Examination()))
    later = Examination(placer="QX0002", facility="qingxi", patient="QX77")
    (prior,) = (await wang.get(f"/api/requests/{await arrive(later)}")).json()["priors"]
    assert prior["facility"]["name"] == "白石乡卫生院"
    assert (prior["observed"], prior["conclusion"]) == (OBSERVED, CONCLUSION)
    assert prior["studies"][0]["uid"] == Examination().study_uid


async def test_an_unsigned_report_is_no_earlier_report(client_of: ClientOf, arrive: Arrive) -> None:
    wang = await client_of("wang")
    await written(wang, await arrive(Examination()))
    later = await arrive(replace(Examination(), placer="BS9"))
    assert (await wang.get(f"/api/requests/{later}")).json()["priors"] == []


async def test_nothing_answers_without_a_token(services: Services, app: Any, waiting: str) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as anonymous:
        for path in ("/api/requests", f"/api/requests/{waiting}", "/api/recognition?patient=x&code=y"):
            assert (await anonymous.get(path)).status_code == 401
        assert (await anonymous.post(f"/api/requests/{waiting}/claim")).status_code == 401


SHORT = """
    insert into study_state (uid, facility, channel, state, since, missing, missing_uids, sources)
    values ($1, 'baishi', 'imaging', 'short', now(), 1, $2, '{mpps}')
    """


async def test_the_worklist_says_which_images_have_not_come(
    client_of: ClientOf, arrive: Arrive, pool: asyncpg.Pool
) -> None:
    examination = Examination()
    await arrive(examination)
    wang = await client_of("wang")
    assert (await wang.get("/api/requests")).json()["requests"][0]["completeness"] is None
    await pool.execute(SHORT, examination.study_uid, ["2.25.9"])
    (row,) = (await wang.get("/api/requests")).json()["requests"]
    assert row["completeness"] == {"state": "short", "missing": 1, "missing_uids": ["2.25.9"]}
    assert row["state"] == "waiting", "a short study can be read"


async def test_trace_says_that_a_study_is_short(client_of: ClientOf, pool: asyncpg.Pool) -> None:
    await pool.execute(SHORT, "2.25.7", ["2.25.9"])
    await pool.execute(
        """
        insert into study (uid, facility, channel, peer, first_stored_at, last_stored_at, revision, noticed_revision)
        values ('2.25.7', 'baishi', 'imaging', 'CT@h:1', now(), now(), 1, 1)
        """
    )
    (study,) = (await (await client_of("wang")).get("/api/trace?word=2.25.7")).json()["studies"]
    assert (study["state"], study["missing"], study["missing_uids"]) == ("short", 1, ["2.25.9"])
    await pool.execute("update study set revision = 2")
    (study,) = (await (await client_of("wang")).get("/api/trace?word=2.25.7")).json()["studies"]
    assert study["state"] == "receiving", "another object has come and the study has not fallen quiet"
