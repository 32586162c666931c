"""Orders in every order of events: numbers, steps and requests follow, and what disagrees is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from engine.store import records
from engine.store.records import Change
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order


async def _step(hub: Hub) -> dict[str, str]:
    return dict(await hub.pool.fetchrow("select * from worklist"))


async def _request_state(hub: Hub) -> str:
    code: str = (await hub.only("Task"))["businessStatus"]["coding"][0]["code"]
    return code


@pytest.mark.parametrize("message_type", [b"OMG^O19", b"OMI^O23", b"OML^O21"])
async def test_an_order_of_a_newer_kind_is_placed_and_cancelled_like_the_old_one(hub: Hub, message_type: bytes) -> None:
    await hub.send("baishi-his", order().replace(b"ORM^O01", message_type))
    await hub.run()
    assert ((await _step(hub))["state"], (await _step(hub))["modality"]) == ("scheduled", "DX")
    assert await _request_state(hub) == "awaiting-study"
    await hub.send("baishi-his", order(control="CA", control_id="M2").replace(b"ORM^O01", message_type))
    await hub.run()
    assert ((await _step(hub))["state"], await _request_state(hub)) == ("cancelled", "cancelled")


async def test_an_order_cancelled_after_its_study_came_cancels_the_request(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    await hub.send("baishi-his", order(control="CA", control_id="M2"))
    await hub.run()
    assert (await _step(hub))["state"] == "cancelled"
    assert await _request_state(hub) == "cancelled"
    assert (await hub.only("ImagingStudy"))["basedOn"]


async def test_an_order_cancelled_after_its_report_was_signed_keeps_the_report_and_tells(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    task = await hub.only("Task")
    signed = {**task["businessStatus"]["coding"][0], "code": "signed"}
    async with hub.pool.acquire() as connection:
        change = Change({**task, "businessStatus": {"coding": [signed]}}, actor="li")
        await records.put_many(connection, [change], now())
    await hub.send("baishi-his", order(control="CA", control_id="M2"))
    await hub.run()
    assert await _request_state(hub) == "signed"
    assert await hub.open_findings() == ["already-signed"]
    assert (await hub.only("ServiceRequest"))["status"] == "revoked"


async def test_a_study_of_a_cancelled_order_is_linked_and_asks_nobody(hub: Hub) -> None:
    await hub.send("baishi-his", order(control="CA", accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    assert (await hub.only("ImagingStudy"))["basedOn"]
    assert await hub.resources("Task") == []
    assert await hub.open_findings() == ["study-of-cancelled-order"]


async def test_an_order_that_comes_back_after_its_cancellation_is_told_of(hub: Hub) -> None:
    for n, control in enumerate(["NW", "CA", "NW"]):
        await hub.send("baishi-his", order(control=control, control_id=f"M{n}"))
        await hub.run()
    assert (await _step(hub))["state"] == "scheduled"
    assert await hub.open_findings() == ["order-after-cancellation"]


async def test_a_cancellation_of_an_unknown_order_uses_no_number(hub: Hub) -> None:
    await hub.send("baishi-his", order(control="CA"))
    await hub.run()
    assert await hub.pool.fetchval("select count(*) from accession_counter") == 0
    assert await hub.pool.fetchval("select count(*) from worklist") == 0
    assert (await hub.only("ServiceRequest"))["status"] == "revoked"
    assert await hub.open_findings() == []


async def test_one_accession_for_two_orders_stays_with_the_first(hub: Hub) -> None:
    await hub.send("baishi-his", order("O1", accession="ACC1", control_id="M1"))
    await hub.send("baishi-his", order("O2", patient="BS0002", accession="ACC1", control_id="M2"))
    await hub.run()
    assert (await _step(hub))["placer"] == "O1"
    assert await hub.open_findings() == ["accession-in-use"]
    assert len(await hub.resources("ServiceRequest")) == 2


@pytest.mark.parametrize(("control", "status"), [("SC", "IP"), ("XO", "")])
async def test_a_change_of_an_order_that_we_never_heard_of_places_it(hub: Hub, control: str, status: str) -> None:
    await hub.send("baishi-his", order(control=control, status=status, control_id="M1"))
    await hub.run()
    first = await _step(hub)
    assert first["state"] == "scheduled"
    assert await _request_state(hub) == "awaiting-study"
    await hub.send("baishi-his", order(control="NW", control_id="M2"))
    await hub.run()
    assert (await _step(hub))["accession"] == first["accession"]
    assert len(await hub.resources("Task")) == 1


@pytest.mark.parametrize(("status", "state"), [("HD", "on-hold"), ("CM", "performed"), ("IP", "scheduled")])
async def test_a_status_change_moves_the_step(hub: Hub, status: str, state: str) -> None:
    await hub.send("baishi-his", order(control_id="M1"))
    await hub.send("baishi-his", order(control="SC", status=status, control_id="M2"))
    await hub.run()
    assert (await _step(hub))["state"] == state


async def test_a_number_that_the_facility_used_itself_is_not_issued_again(hub: Hub) -> None:
    await hub.send("baishi-his", order("O1", control_id="M1"))
    await hub.run()
    issued = (await _step(hub))["accession"]
    following = f"{int(issued) + 1}"
    await hub.send("baishi-his", order("O2", patient="BS2", accession=following, control_id="M2"))
    await hub.send("baishi-his", order("O3", patient="BS3", control_id="M3"))
    await hub.run()
    rows = await hub.pool.fetch("select placer, accession from worklist order by placer")
    assert [row["accession"] for row in rows] == [issued, following, f"{int(issued) + 2}"]
    assert await hub.held() == 0


async def test_another_accession_than_the_worklist_handed_out_is_kept_and_told_once(hub: Hub) -> None:
    await hub.send("baishi-his", order(control_id="M1"))
    await hub.run()
    issued = (await _step(hub))["accession"]
    for n in range(2):
        await hub.send("baishi-his", order(control="XO", accession="HIS-9", control_id=f"X{n}"))
        await hub.run()
    assert (await _step(hub))["accession"] == issued
    numbers = [i for i in (await hub.only("ServiceRequest"))["identifier"] if i.get("value") in (issued, "HIS-9")]
    assert [(i["value"], i.get("use")) for i in numbers] == [(issued, None), ("HIS-9", "secondary")]
    assert await hub.open_findings() == ["accession-changed"]


async def test_an_accession_that_no_modality_can_hold_is_told_and_another_one_issued(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="2026112100000000001"))
    await hub.run()
    step = await _step(hub)
    assert len(step["accession"]) <= 16
    assert await hub.open_findings() == ["accession-unfit"]
    assert "2026112100000000001" in {i["value"] for i in (await hub.only("ServiceRequest"))["identifier"]}


async def test_a_patient_identifier_that_no_modality_can_hold_is_told(hub: Hub) -> None:
    await hub.send("baishi-his", order(patient="P" * 65))
    await hub.run()
    assert await hub.pool.fetchval("select count(*) from worklist") == 0
    assert await hub.open_findings() == ["patient-id-unfit"]


async def test_a_name_that_no_worklist_can_hold_is_cut_there_only(hub: Hub) -> None:
    await hub.send("baishi-his", order(name="石^" + "英" * 80))
    await hub.run()
    assert len((await _step(hub))["patient_name"]) == 64
    source = next(p for p in await hub.resources("Patient") if "meta" not in p)
    assert len(source["name"][0]["given"][0]) == 80
    assert await hub.open_findings() == ["shortened-for-worklist"]


async def test_a_facility_with_a_ris_numbers_its_orders_itself(
    hub: Hub, community: Community, mappings: MappingSet
) -> None:
    facility = community.facilities["baishi"].model_copy(update={"has_ris": True})
    there = community.model_copy(update={"facilities": {**community.facilities, "baishi": facility}})
    pipeline = Pipeline(hub.url, there, mappings, lambda: now() + timedelta(seconds=1), hub.ids)
    await hub.send("baishi-his", order("O1", control_id="M1"))
    await hub.send("baishi-his", order("O2", accession="RIS-7", control_id="M2"))
    async with hub.pool.acquire() as connection:
        while await pipeline.run_batch(connection):
            pass
    assert await hub.open_findings() == ["order-without-accession"]
    assert (await _step(hub))["accession"] == "RIS-7"
    assert await hub.pool.fetchval("select count(*) from accession_counter") == 0


UID = "1.2.840.113619.2.55.3"


def _with_study(message: bytes, uid: str = UID) -> bytes:
    return message + f"ZDS|{uid}^HIS^Application^DICOM\r".encode()


async def test_the_worklist_hands_out_the_study_uid_that_the_order_brings(hub: Hub) -> None:
    await hub.send("baishi-his", _with_study(order(accession="ACC1")))
    await hub.run()
    assert (await _step(hub))["study_uid"] == UID
    uids = [i["value"] for i in (await hub.only("ServiceRequest"))["identifier"] if i["system"] == "urn:dicom:uid"]
    assert uids == [f"urn:oid:{UID}"]


async def test_a_number_that_is_no_uid_is_told_and_the_order_goes_by_a_uid_of_ours(hub: Hub) -> None:
    await hub.send("baishi-his", _with_study(order(accession="ACC1"), "CT-0001"))
    await hub.run()
    assert (await _step(hub))["study_uid"].startswith("2.25.")
    assert "study-uid-unfit" in await hub.open_findings()


async def test_two_orders_with_one_study_uid_go_by_two_and_it_is_told(hub: Hub) -> None:
    await hub.send("baishi-his", _with_study(order("O1", accession="ACC1")))
    await hub.send("baishi-his", _with_study(order("O2", accession="ACC2", control_id="M2")))
    await hub.run()
    rows = await hub.pool.fetch("select study_uid from worklist order by accession")
    assert rows[0]["study_uid"] == UID
    assert rows[1]["study_uid"].startswith("2.25.")
    assert "study-uid-in-use" in await hub.open_findings()


async def test_an_order_that_comes_again_with_another_study_uid_goes_on_by_the_first_and_it_is_told_once(
    hub: Hub,
) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    first = (await _step(hub))["study_uid"]
    for control_id in ("M2", "M3"):
        await hub.send("baishi-his", _with_study(order(accession="ACC1", control="XO", control_id=control_id)))
        await hub.run()
    assert (await _step(hub))["study_uid"] == first
    assert (await hub.open_findings()).count("study-uid-changed") == 1
    uids = [i["value"] for i in (await hub.only("ServiceRequest"))["identifier"] if i["system"] == "urn:dicom:uid"]
    assert uids == [f"urn:oid:{first}", f"urn:oid:{UID}"]
