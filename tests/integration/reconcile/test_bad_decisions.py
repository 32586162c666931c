"""Nobody decides on what he has not seen, on what still arrives, or with words that are no UID."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from engine.clock import now
from tests.integration.engine.messages import order
from tests.integration.reconcile.conftest import Desk, Write

HOSTILE = "<img src=x onerror=window.broken=1>"


async def test_of_two_who_act_at_once_one_has_to_look_again(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    revision = (await desk.study("1.2.3"))["revision"]
    answers = await asyncio.gather(
        desk.ask("1.2.3", "assign", revision=revision, accession="ACC1"),
        desk.ask("1.2.3", "assign", revision=revision, patient_id="BS0001"),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (refused,) = (answer for answer in answers if answer.status_code == 409)
    assert refused.json()["code"] == "study-changed"
    assert len((await desk.study("1.2.3"))["decisions"]) == 1


async def test_an_object_that_came_since_has_to_be_looked_at(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    revision = (await desk.study("1.2.3"))["revision"]
    await desk.store(radiograph("1.2.3.1.2", AccessionNumber="ACC7"))
    refused = await desk.ask("1.2.3", "assign", revision=revision, accession="ACC1")
    assert refused.json()["code"] == "study-changed"


async def test_a_study_that_still_arrives_is_left_alone(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    await desk.pool.execute("update study set last_stored_at = $1", now() + timedelta(hours=1))
    refused = await desk.ask("1.2.3", "assign", revision=(await desk.study("1.2.3"))["revision"], accession="ACC1")
    assert (refused.status_code, refused.json()["code"]) == (409, "study-receiving")


CANNOT_BE_MEANT: list[tuple[str, dict[str, Any], int, str]] = [
    ("assign", {"accession": "NO-SUCH"}, 404, "no-such-order"),
    ("assign", {}, 400, "bad-parameter"),
    ("assign", {"accession": "A1", "patient_id": "P1"}, 400, "bad-parameter"),
    ("split", {"series": ["9.9.9"]}, 404, "no-such-part"),
    ("split", {"series": ["1.2.3.1"]}, 409, "nothing-left"),
    ("split", {}, 409, "nothing-chosen"),
    ("merge", {"into": "1.2.3"}, 409, "same-study"),
    ("merge", {"into": "9.9.9"}, 404, "no-such-study"),
    ("content", {"sop_uid": "1.2.3.1.1", "sha256": "0" * 64, "choice": "keep"}, 404, "no-such-content"),
]
NO_UIDS = ["../../etc/passwd", HOSTILE, "1.2.3'; drop table study; --", "1" * 65, "%00"]


async def test_what_cannot_be_meant_is_refused_and_nothing_is_done(desk: Desk, radiograph: Write) -> None:
    await desk.store(radiograph())
    revision = (await desk.study("1.2.3"))["revision"]
    for action, body, status, code in CANNOT_BE_MEANT:
        refused = await desk.ask("1.2.3", action, revision=revision, **body)
        assert (refused.status_code, refused.json()["code"]) == (status, code), (action, body)
    for uid in NO_UIDS:
        assert (await desk.client.get(f"/api/reconcile/studies/baishi/{uid}")).status_code in (400, 404, 422)
        merged = await desk.ask("1.2.3", "merge", revision=revision, into=uid)
        assert merged.status_code == 422
    without_a_reason = await desk.ask("1.2.3", "assign", revision=revision, patient_id="BS0001", reason="  ")
    assert without_a_reason.status_code == 422
    assert await desk.pool.fetchval("select count(*) from study_statement") == 0


async def test_who_does_not_run_the_hub_decides_nothing(desk: Desk, radiograph: Write) -> None:
    await desk.store(radiograph())
    assert (await desk.reader.get("/api/reconcile")).status_code == 403
    answer = await desk.reader.post(
        "/api/reconcile/studies/baishi/1.2.3/reject", json={"reason": "x", "revision": 1, "title": "quality"}
    )
    assert answer.status_code == 403


async def test_a_study_of_another_facility_under_the_same_uid_is_another_study(desk: Desk, radiograph: Write) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph(AccessionNumber="ACC7"))
    await desk.store(radiograph("1.2.3.1.9", AccessionNumber="ACC7"), calling="DR_QINGXI")
    assert (await desk.client.get("/api/reconcile/find/1.2.3")).json() == ["baishi", "qingxi"]
    await desk.decide("1.2.3", "assign", accession="ACC1")
    theirs = await desk.study("1.2.3", "qingxi")
    assert theirs["attributes"]["accession"] == "ACC7"
    assert theirs["decisions"] == []
