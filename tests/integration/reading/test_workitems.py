"""A DICOM workstation works on the same requests as the reading room: what one does, the other sees (UPS-RS)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset

from engine.api.reading import workitem
from engine.api.reading.workitem import uid_of
from engine.errors import NotFoundError
from tests.integration.reading.conftest import NOW, Arrive, Examination, signed
from tests.integration.reading.test_requests import ClientOf

TRANSACTION = "2.25.1001"
WORKITEMS = "/dicomweb/workitems"


def change(state: str, transaction: str = TRANSACTION) -> list[dict[str, Any]]:
    return [{"00081195": {"vr": "UI", "Value": [transaction]}, "00741000": {"vr": "CS", "Value": [state]}}]


async def to(client: httpx.AsyncClient, request: str, state: str, transaction: str = TRANSACTION) -> httpx.Response:
    return await client.put(f"{WORKITEMS}/{uid_of(request)}/state", json=change(state, transaction))


async def state_of(client: httpx.AsyncClient, request: str) -> tuple[str, str]:
    """As a workstation and as the reading room say it."""
    (said,) = (await client.get(f"{WORKITEMS}/{uid_of(request)}")).json()
    room = (await client.get(f"/api/requests/{request}")).json()["request"]["state"]
    return said["00741000"]["Value"][0], room


async def test_a_waiting_request_is_a_scheduled_workitem(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    answer = await wang.get(WORKITEMS, params={"ProcedureStepState": "SCHEDULED"})
    assert answer.headers["content-type"] == "application/dicom+json"
    (said,) = answer.json()
    read = Dataset.from_json(said)
    assert (read.SOPClassUID, read.SOPInstanceUID) == ("1.2.840.10008.5.1.4.34.6.1", uid_of(waiting))
    assert (read.PatientName.ideographic, read.PatientID, read.PatientSex) == ("赵小燕", "BS0001", "F")
    assert (read.ProcedureStepState, read.InputReadinessState) == ("SCHEDULED", "READY")
    assert read.ReferencedRequestSequence[0].AccessionNumber == "A26030001"
    (study,) = read.InputInformationSequence
    assert study.WADORSRetrievalSequence[0].RetrieveURL == f"http://hub.test/dicomweb/studies/{study.StudyInstanceUID}"
    assert list(said) == sorted(said)
    (one,) = (await wang.get(f"{WORKITEMS}/{uid_of(waiting)}")).json()
    assert one == said


async def test_claiming_on_a_workstation_is_claiming_in_the_reading_room(client_of: ClientOf, waiting: str) -> None:
    wang, li = await client_of("wang"), await client_of("li")
    assert (await to(wang, waiting, "IN PROGRESS")).status_code == 200
    assert await state_of(wang, waiting) == ("IN PROGRESS", "claimed")
    assert (await li.post(f"/api/requests/{waiting}/claim")).json()["code"] == "already-claimed"
    assert (await to(li, waiting, "IN PROGRESS", "2.25.7")).status_code == 409
    assert TRANSACTION not in (await wang.get(f"{WORKITEMS}/{uid_of(waiting)}")).text


async def test_what_the_reading_room_claimed_is_in_progress_for_workstations(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    await wang.post(f"/api/requests/{waiting}/claim")
    assert await state_of(wang, waiting) == ("IN PROGRESS", "claimed")
    refused = await to(wang, waiting, "CANCELED")
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong-transaction")


async def test_giving_up_puts_the_request_back_and_needs_the_transaction(client_of: ClientOf, waiting: str) -> None:
    wang, li = await client_of("wang"), await client_of("li")
    await to(wang, waiting, "IN PROGRESS")
    assert (await to(wang, waiting, "CANCELED", "2.25.7")).status_code == 409
    assert (await to(li, waiting, "CANCELED")).status_code == 403
    assert (await to(wang, waiting, "CANCELED")).status_code == 200
    assert await state_of(wang, waiting) == ("SCHEDULED", "waiting")
    await wang.post(f"/api/requests/{waiting}/claim")
    assert (await to(wang, waiting, "CANCELED")).status_code == 409, "an earlier claim's transaction holds no more"


async def test_a_request_is_completed_by_its_signed_report(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    await to(wang, waiting, "IN PROGRESS")
    refused = await to(wang, waiting, "COMPLETED")
    assert (refused.status_code, refused.json()["code"]) == (409, "report-not-signed")
    await to(wang, waiting, "CANCELED")
    await signed(wang, await client_of("li"), waiting)
    done = await to(wang, waiting, "COMPLETED")
    assert done.status_code == 200
    assert "already" in done.headers["warning"]
    assert (await state_of(wang, waiting))[0] == "COMPLETED"


async def test_of_many_who_claim_at_once_exactly_one_gets_it(client_of: ClientOf, waiting: str) -> None:
    claimants = [await client_of(user) for user in ("wang", "li", "wang", "li")]
    answers = await asyncio.gather(
        *(to(one, waiting, "IN PROGRESS", f"2.25.{number}") for number, one in enumerate(claimants, 1))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


async def test_workitems_are_found_by_what_they_say(client_of: ClientOf, arrive: Arrive) -> None:
    first = await arrive(Examination(placer="BS1", patient="BS0001"))
    urgent = await arrive(Examination(placer="BS2", patient="BS0002", priority="stat", examined_at=NOW))
    wang = await client_of("wang")

    async def found(**keys: str) -> list[str]:
        answer = await wang.get(WORKITEMS, params=keys)
        return [one["00080018"]["Value"][0] for one in answer.json()] if answer.status_code == 200 else []

    assert await found() == [uid_of(urgent), uid_of(first)]
    assert await found(limit="1") == [uid_of(urgent)]
    assert await found(limit="1", offset="1") == [uid_of(first)]
    assert await found(PatientID="BS*1") == [uid_of(first)]
    assert await found(**{"00741200": "HIGH"}) == [uid_of(urgent)]
    assert await found(**{"InputInformationSequence.StudyInstanceUID": "2.25.2"}) == [uid_of(urgent)]
    assert await found(ProcedureStepState="COMPLETED") == []
    assert await found(ScheduledProcedureStepStartDateTime="20260302-20260303") == [uid_of(urgent), uid_of(first)]
    assert await found(**{"00404005": "202603021620-"}) == [uid_of(urgent)]
    assert await found(**{"00404005": "-20260301"}) == []
    assert (await wang.get(WORKITEMS, params={"PatientID": "none"})).status_code == 204
    assert (await wang.get(WORKITEMS, params={"00404005": "soon"})).status_code == 400
    ignored = await wang.get(WORKITEMS, params={"OperatorsName": "X", "PatientID": "BS0001"})
    assert (len(ignored.json()), ignored.headers["warning"][:3]) == (1, "299")


async def test_what_workitems_tell_can_be_asked_for(client_of: ClientOf, waiting: str) -> None:
    def paths(said: dict[str, Any], *above: str) -> set[tuple[str, ...]]:
        found = set()
        for tag, element in said.items():
            if element["vr"] == "SQ":
                found |= {path for item in element["Value"] for path in paths(item, *above, tag)}
            else:
                found.add((*above, tag))
        return found

    wang = await client_of("wang")
    await to(wang, waiting, "IN PROGRESS")
    (said,) = (await wang.get(f"{WORKITEMS}/{uid_of(waiting)}")).json()
    assert paths(said) == workitem.ATTRIBUTES


async def test_another_centres_requests_are_nobodys_business(client_of: ClientOf, arrive: Arrive) -> None:
    ecg = await arrive(Examination(placer="BS2", modality="ECG", centre="county-ecg"))
    wang = await client_of("wang")
    assert (await wang.get(WORKITEMS)).status_code == 204
    assert (await wang.get(f"{WORKITEMS}/{uid_of(ecg)}")).status_code == 403
    assert (await to(wang, ecg, "IN PROGRESS")).status_code == 403
    clinician = await client_of("liu")
    assert (await clinician.get(WORKITEMS)).status_code == 403


async def test_requests_are_opened_and_cancelled_by_their_orders_alone(client_of: ClientOf, waiting: str) -> None:
    wang = await client_of("wang")
    assert (await wang.post(WORKITEMS, json=[{}])).status_code == 403
    refused = await wang.post(f"{WORKITEMS}/{uid_of(waiting)}/cancelrequest", json=[{}])
    assert (refused.status_code, refused.json()["code"]) == (409, "cancelled-by-order")
    assert await state_of(wang, waiting) == ("SCHEDULED", "waiting")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[[]]",
        b'"x"',
        b'[{"00081195":{"vr":"UI","Value":[]}}]',
        b'[{"00081195":{"vr":"UI","Value":["x"]},"00741000":{"vr":"CS","Value":["IN PROGRESS"]}}]',
        b'[{"00081195":{"vr":"UI","Value":[7]},"00741000":{"vr":"CS","Value":["IN PROGRESS"]}}]',
        b'[{"00081195":{"vr":"UI","Value":["1.2"]},"00741000":{"vr":"CS","Value":["SCHEDULED"]}}]',
        b"[" * 5000,
    ],
)
async def test_a_change_that_is_none_is_refused(client_of: ClientOf, waiting: str, body: bytes) -> None:
    wang = await client_of("wang")
    assert (await wang.put(f"{WORKITEMS}/{uid_of(waiting)}/state", content=body)).status_code == 400


@pytest.mark.parametrize("uid", ["1.2.3", "2.25.0", f"2.25.{1 << 128}", "2.25." + "9" * 39])
async def test_a_uid_that_is_no_requests_is_not_found(client_of: ClientOf, uid: str) -> None:
    wang = await client_of("wang")
    assert (await wang.get(f"{WORKITEMS}/{uid}")).status_code == 404
    assert (await wang.put(f"{WORKITEMS}/{uid}/state", json=change("IN PROGRESS"))).status_code == 404


def test_a_uid_leads_back_to_its_request() -> None:
    request = "0a1b2c3d-0000-5000-8000-00000000ffff"
    assert workitem.request_of(uid_of(request)) == request
    with pytest.raises(NotFoundError):
        workitem.request_of("1.2.840")
