"""Source Patients under golden Patients, as messages bring cards, correct them and share them."""

from __future__ import annotations

import json
from typing import Any

from fhir.resources.R4B.patient import Patient

from engine.identifiers import ID_CARD
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, in_utf8, register


async def _goldens(hub: Hub) -> list[dict[str, Any]]:
    return [p for p in await hub.resources("Patient") if "meta" in p]


async def _links(hub: Hub) -> set[str]:
    return {row["golden"] for row in await hub.pool.fetch("select golden from patient_link")}


def _with_health_card(payload: bytes, number: str = "H1") -> bytes:
    return payload.replace(b"^^^BSHIS^MR", f"^^^BSHIS^MR~{number}^^^^JKK".encode())


async def test_a_second_card_of_a_known_person_leads_to_that_person_too(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    await hub.send("qingxi-his", in_utf8(_with_health_card(register("QX1", card=card(1), sender="QXZWSY"))))
    await hub.run()
    third = in_utf8(_with_health_card(register("QX2", control_id="R3", sender="QXZWSY")))
    await hub.send("qingxi-his", third)
    await hub.run()
    assert len(await _links(hub)) == 1
    assert await hub.pool.fetchval("select count(distinct golden) from person_key") == 1


async def test_the_golden_patient_says_what_was_written_last(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.send("qingxi-his", in_utf8(register("QX1", card=card(1), sender="QXZWSY")))
    await hub.run()
    for n, (channel, patient) in enumerate([("baishi-his", "BS0001"), ("qingxi-his", "QX1"), ("baishi-his", "BS0001")]):
        sender = "BSXWSY" if channel == "baishi-his" else "QXZWSY"
        changed = register(patient, card=card(1), name=f"石^改{n}", control_id=f"C{n}", event="A08", sender=sender)
        await hub.send(channel, in_utf8(changed) if channel == "qingxi-his" else changed)
        await hub.run()
        (golden,) = await _goldens(hub)
        assert golden["name"][0]["given"] == [f"改{n}"]


async def test_the_reasons_of_a_link_stay_when_the_patient_changes(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    await hub.send("qingxi-his", in_utf8(register("QX1", card=card(1), sender="QXZWSY")))
    await hub.run()
    before = await hub.pool.fetch("select source, reasons, linked_at from patient_link order by source")
    await hub.send(
        "qingxi-his",
        in_utf8(register("QX1", card=card(1), name="石^秀瑛", control_id="R2", event="A08", sender="QXZWSY")),
    )
    await hub.run()
    assert await hub.pool.fetch("select source, reasons, linked_at from patient_link order by source") == before
    assert [f"same {ID_CARD}"] in [json.loads(row["reasons"]) for row in before]


async def test_a_golden_patient_that_turned_out_to_be_another_points_to_it(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.send("qingxi-his", in_utf8(register("QX1", sender="QXZWSY")))
    await hub.run()
    await hub.send("qingxi-his", in_utf8(register("QX1", card=card(1), control_id="R2", event="A08", sender="QXZWSY")))
    await hub.run()
    for patient in await hub.resources("Patient"):
        Patient.model_validate(patient)
    (replaced,) = [p for p in await _goldens(hub) if p.get("active") is False]
    (golden,) = [p for p in await _goldens(hub) if "active" not in p]
    assert replaced["link"] == [{"other": {"reference": f"Patient/{golden['id']}"}, "type": "replaced-by"}]


async def test_a_doubt_is_told_once_however_often_the_patient_comes(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    for n in range(3):
        other = register("BS0002", card=card(1), name="牛^大山", born="19900101", control_id=f"N{n}", event="A08")
        await hub.send("baishi-his", other.replace(b"13900000001", f"1390000000{n}".encode()))
        await hub.run()
    assert await hub.open_findings() == ["possible-match-identifier-shared"]


async def test_a_corrected_card_frees_the_number_for_the_person_it_belongs_to(hub: Hub) -> None:
    await hub.send("baishi-his", register(card=card(1)))
    await hub.run()
    await hub.send("baishi-his", register(card=card(2), control_id="R2", event="A08"))
    await hub.run()
    assert await hub.open_findings() == ["id-card-changed"]
    keys = [row["value"] for row in await hub.pool.fetch("select value from person_key")]
    assert keys == [card(2)]
    # The rightful owner has no name here, so nothing but the number could tell them apart.
    await hub.send("qingxi-his", in_utf8(register("QX9", card=card(1), name="", born="", sender="QXZWSY")))
    await hub.run()
    assert len(await _links(hub)) == 2


async def test_a_family_that_shares_a_telephone_is_as_many_persons(hub: Hub) -> None:
    for n, name in enumerate(["石^秀英", "石^大山", "石^小宝"]):
        await hub.send("baishi-his", register(f"BS{n}", name=name, control_id=f"F{n}"))
    await hub.run()
    assert len(await _links(hub)) == 3
    assert await hub.open_findings() == []


async def test_forty_identifiers_of_one_patient_are_kept_and_order_its_messages(hub: Hub) -> None:
    numbers = "~".join(f"N{n}^^^SYS{n}^MR" for n in range(40))
    payload = register(card=card(1)).replace(b"BS0001^^^BSHIS^MR", numbers.encode())
    await hub.send("baishi-his", payload)
    assert await hub.pool.fetchval("select count(*) from lane") == 41
    await hub.run()
    source = next(p for p in await hub.resources("Patient") if "meta" not in p)
    assert len(source["identifier"]) == 41
    assert await hub.pool.fetchval("select count(*) from lane") == 0
    assert await hub.held() == 0


async def test_an_identity_check_digit_that_fails_is_a_finding_and_matches_nobody(hub: Hub) -> None:
    wrong = card(1)[:-1] + ("0" if card(1)[-1] != "0" else "1")
    await hub.send("baishi-his", register(card=wrong))
    await hub.send("qingxi-his", in_utf8(register("QX1", card=wrong, sender="QXZWSY")))
    await hub.run()
    assert set(await hub.open_findings()) == {"id-card-check-digit"}
    assert len(await _links(hub)) == 2
    assert await hub.pool.fetchval("select count(*) from person_key") == 0
