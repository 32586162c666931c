"""A message walks from its bytes to its records, and what follows from them."""

from __future__ import annotations

import asyncio

from engine.identifiers import ID_CARD
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order, register, result

CARD = "110105196305121226"


async def test_a_registration_becomes_a_patient_under_a_golden_patient(hub: Hub) -> None:
    answer = await hub.send("baishi-his", register())
    assert b"MSA|AA|R1" in answer
    assert b"+0800|" in answer, "a HIS that overlooks the zone must not be eight hours wrong"
    assert await hub.run() == 1

    patients = await hub.resources("Patient")
    golden = [p for p in patients if "link" in p]
    sources = [p for p in patients if "link" not in p]
    assert [p["name"][0]["family"] for p in sources] == ["石"]
    assert golden[0]["link"][0]["other"]["reference"] == f"Patient/{sources[0]['id']}"
    outcome = await hub.pool.fetchrow("select * from outcome")
    assert outcome["state"] == "processed"
    assert outcome["mapping"].startswith("ADT")
    assert await hub.pool.fetchval("select count(*) from inbox") == 0
    assert await hub.pool.fetchval("select count(*) from lane") == 0


async def test_a_repeat_gets_the_stored_acknowledgment_and_changes_nothing(hub: Hub) -> None:
    first = await hub.send("baishi-his", register())
    again = await hub.send("baishi-his", register().replace(b"20261121083000||ADT", b"20261121083959||ADT"))
    assert again == first
    assert await hub.pool.fetchval("select count(*) from journal") == 1
    assert await hub.run() == 1


async def test_two_equal_messages_of_one_batch_are_one(hub: Hub) -> None:
    answers = await asyncio.gather(*(hub.send("baishi-his", register()) for _ in range(5)))
    assert len(set(answers)) == 1
    assert await hub.pool.fetchval("select count(*) from journal") == 1


async def test_a_reused_control_id_with_other_content_is_a_new_message_with_a_finding(hub: Hub) -> None:
    await hub.send("baishi-his", register("BS0001"))
    await hub.send("baishi-his", register("BS0002"))
    assert await hub.pool.fetchval("select count(*) from journal") == 2
    await hub.run()
    assert await hub.open_findings() == ["control-id-reused"]


async def test_decimals_keep_their_digits_into_the_record(hub: Hub) -> None:
    await hub.send("baishi-his", result(value="5.10"))
    await hub.run()
    body = await hub.pool.fetchval("select body::text from resource where type = 'Observation'")
    assert '"value":5.10' in body


async def test_a_late_preliminary_result_never_replaces_the_final_one(hub: Hub) -> None:
    await hub.send("baishi-his", result(value="5.10", status="F", control_id="U1"))
    await hub.send("baishi-his", result(value="9.99", status="P", control_id="U2"))
    await hub.run()
    observation = await hub.only("Observation")
    assert str(observation["valueQuantity"]["value"]) == "5.10"
    assert "late-preliminary" in await hub.open_findings()


async def test_an_imaging_order_gets_a_number_a_step_and_a_request(hub: Hub) -> None:
    await hub.send("baishi-his", order())
    await hub.run()
    step = await hub.pool.fetchrow("select * from worklist")
    assert len(step["accession"]) <= 16
    assert step["patient_name"] == "石^秀英"
    assert step["patient_name_latin"] == "Shi^Xiuying"
    assert (step["modality"], step["state"]) == ("DX", "scheduled")
    request = await hub.only("ServiceRequest")
    assert step["accession"] in {i["value"] for i in request["identifier"]}
    task = await hub.only("Task")
    assert task["businessStatus"]["coding"][0]["code"] == "awaiting-study"
    assert task["focus"]["reference"] == f"ServiceRequest/{request['id']}"


async def test_a_cancelled_order_leaves_the_worklist_and_cancels_its_request(hub: Hub) -> None:
    await hub.send("baishi-his", order(control_id="M1"))
    await hub.send("baishi-his", order(control="CA", control_id="M2"))
    await hub.run()
    assert await hub.pool.fetchval("select state from worklist") == "cancelled"
    assert (await hub.only("ServiceRequest"))["status"] == "revoked"
    assert (await hub.only("Task"))["status"] == "cancelled"


async def test_a_changed_order_keeps_its_number(hub: Hub) -> None:
    await hub.send("baishi-his", order(control_id="M1"))
    await hub.run()
    before = await hub.pool.fetchrow("select accession, study_uid from worklist")
    await hub.send("baishi-his", order(control="XO", text="胸部正侧位DR", control_id="M2"))
    await hub.run()
    after = await hub.pool.fetchrow("select accession, study_uid, procedure_text from worklist")
    assert tuple(before) == (after["accession"], after["study_uid"])
    assert after["procedure_text"] == "胸部正侧位DR"


async def test_a_study_is_linked_when_facility_accession_and_patient_agree(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    await hub.study(manifest("ACC1"))
    await hub.run()
    study, request, task = (await hub.only("ImagingStudy"), await hub.only("ServiceRequest"), await hub.only("Task"))
    assert study["basedOn"] == [{"reference": f"ServiceRequest/{request['id']}"}]
    assert study["subject"] == request["subject"]
    assert task["businessStatus"]["coding"][0]["code"] == "waiting"
    assert await hub.pool.fetchval("select state from worklist") == "performed"
    assert await hub.open_findings() == []


async def test_a_study_of_another_patient_identifier_is_kept_and_not_linked(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1", patient="BS0002"))
    await hub.run()
    assert "basedOn" not in await hub.only("ImagingStudy")
    assert await hub.open_findings() == ["study-patient-conflict"]
    assert (await hub.only("Task"))["businessStatus"]["coding"][0]["code"] == "awaiting-study"


async def test_a_study_that_comes_before_its_order_is_linked_when_the_order_comes(hub: Hub) -> None:
    await hub.study(manifest("ACC1"))
    await hub.run()
    assert await hub.open_findings() == ["study-without-order"]
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.run()
    assert (await hub.only("ImagingStudy"))["basedOn"]
    assert (await hub.only("Task"))["businessStatus"]["coding"][0]["code"] == "waiting"


async def test_a_study_with_another_name_is_linked_with_a_finding(hub: Hub) -> None:
    await hub.send("baishi-his", order(accession="ACC1"))
    await hub.study(manifest("ACC1", name="Wang^Wu"))
    await hub.run()
    assert (await hub.only("ImagingStudy"))["basedOn"]
    assert await hub.open_findings() == ["study-name-differs"]


async def test_one_card_at_two_facilities_is_one_person(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=CARD))
    await hub.send("qingxi-his", register("QX7", card=CARD, sender="QXZWSY").decode("gb18030").encode())
    await hub.run()
    rows = await hub.pool.fetch("select distinct golden from patient_link")
    assert len(rows) == 1
    golden = [p for p in await hub.resources("Patient") if "link" in p]
    assert len(golden[0]["link"]) == 2
    assert golden[0]["identifier"] == [{"system": ID_CARD, "value": CARD}]


async def test_one_card_with_another_name_and_birth_date_is_a_possible_match(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=CARD))
    other = register("QX7", card=CARD, name="牛^大山", born="19900101", sender="QXZWSY")
    await hub.send("qingxi-his", other.decode("gb18030").encode())
    await hub.run()
    rows = await hub.pool.fetch("select distinct golden from patient_link")
    assert len(rows) == 2
    assert "possible-match-identifier-shared" in await hub.open_findings()


async def test_a_card_that_becomes_known_later_joins_the_person(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=CARD))
    await hub.send("qingxi-his", register("QX7", sender="QXZWSY").decode("gb18030").encode())
    await hub.run()
    late = register("QX7", card=CARD, control_id="R2", event="A08", sender="QXZWSY")
    await hub.send("qingxi-his", late.decode("gb18030").encode())
    await hub.run()
    rows = await hub.pool.fetch("select distinct golden from patient_link")
    assert len(rows) == 1


async def test_a_study_that_grew_is_no_reused_control_id(hub: Hub) -> None:
    await hub.study(manifest("ACC1"))
    await hub.study(manifest("ACC1", sop="2.25.2"))
    await hub.run()
    assert "control-id-reused" not in await hub.open_findings()
