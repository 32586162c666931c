"""Visits that are joined, renumbered or moved to another patient, and numbers that are not used any more."""

from __future__ import annotations

from typing import Any

from engine.identifiers import resource_id
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import order, register, result
from tests.integration.engine.test_joins import _adt, _pid, sent, source

Resource = dict[str, Any]


def visit(number: str) -> str:
    return resource_id("Encounter", "baishi", number)


def _pv1(number: str) -> str:
    return f"PV1|1|I|||||||||||||||||{number}"


def admit(patient: str, number: str, control_id: str) -> bytes:
    return _adt("A01", control_id, _pid(patient), _pv1(number) + "|" * 25 + "20261120080000")


def with_visit(message: bytes, number: str) -> bytes:
    return message.replace(b"\rORC", f"\r{_pv1(number)}\rORC".encode(), 1)


async def encounter(hub: Hub, number: str) -> Resource:
    return next(e for e in await hub.resources("Encounter") if e["id"] == visit(number))


async def test_a_visit_merged_into_another_becomes_part_of_it(hub: Hub) -> None:
    await sent(hub, admit("BS1", "V1", "1"), admit("BS1", "V2", "2"))
    await sent(hub, _adt("A42", "3", _pid("BS1"), "MRG|BS1||||V1", _pv1("V2")))
    earlier, now = await encounter(hub, "V1"), await encounter(hub, "V2")
    assert earlier["partOf"] == {"reference": f"Encounter/{visit('V2')}"}
    assert [(i["value"], i.get("use")) for i in earlier["identifier"]] == [("V1", "old")]
    assert [(i["value"], i.get("use")) for i in now["identifier"]] == [("V2", None), ("V1", "old")]
    assert (now["status"], "partOf" in now) == ("in-progress", False)
    assert await hub.open_findings() == []


async def test_a_visit_of_another_number_is_what_it_was(hub: Hub) -> None:
    await sent(hub, admit("BS1", "V1", "1"))
    await sent(hub, _adt("A50", "2", _pid("BS1"), "MRG|BS1||||V1", _pv1("V9")))
    now = await encounter(hub, "V9")
    assert (now["status"], now["period"]["start"]) == ("in-progress", "2026-11-20T08:00:00+08:00")
    assert [i["value"] for i in now["identifier"]] == ["V1", "V9"]
    assert (await encounter(hub, "V1"))["partOf"] == {"reference": f"Encounter/{visit('V9')}"}


async def test_a_visit_never_seen_that_gets_another_number_is_recorded_under_both(hub: Hub) -> None:
    await sent(hub, _adt("A50", "2", _pid("BS1"), "MRG|BS1||||V1", _pv1("V9")))
    assert [i["value"] for i in (await encounter(hub, "V9"))["identifier"]] == ["V9", "V1"]


async def test_a_moved_visit_takes_everything_that_belongs_to_it_along(hub: Hub) -> None:
    await sent(
        hub,
        register("BS2", control_id="R2"),
        admit("BS1", "V1", "1"),
        with_visit(result("L1", patient="BS1"), "V1"),
        order("O1", patient="BS1", control_id="O1", accession="ACC1").replace(b"|V0001", b"V1"),
        result("L2", patient="BS1", control_id="U2"),
    )
    await sent(hub, _adt("A45", "9", _pid("BS2"), "MRG|BS1^^^BSHIS^MR||||V1", _pv1("V1")))
    there, here = {"reference": f"Patient/{source('BS2')}"}, {"reference": f"Patient/{source('BS1')}"}
    assert (await encounter(hub, "V1"))["subject"] == there
    moved = [r for kind in ("Observation", "DiagnosticReport") for r in await hub.resources(kind) if "encounter" in r]
    assert [r["subject"] for r in moved] == [there, there]
    assert (await hub.only("Task"))["for"]["reference"] == there["reference"]
    assert (await hub.pool.fetchval("select patient_id from worklist")) == "BS2"
    stayed = [r for r in await hub.resources("Observation") if "encounter" not in r]
    assert [r["subject"] for r in stayed] == [here]
    assert await hub.open_findings() == []
    rows = await hub.pool.fetch(
        "select golden from patient_link where source = any($1)", [source("BS1"), source("BS2")]
    )
    assert len({row["golden"] for row in rows}) == 2, "moving a visit joins nobody"


async def test_a_visit_that_is_named_moves_with_its_account(hub: Hub) -> None:
    account = "||||||||||A1"
    await sent(hub, admit("BS1", "V1", "1"), with_visit(result("L1", patient="BS1"), "V1"), admit("BS1", "V2", "2"))
    await sent(hub, _adt("A44", "9", _pid("BS2") + account, "MRG|BS1^^^BSHIS^MR||A1||V1", _pv1("V1")))
    there, here = ({"reference": f"Patient/{source(number)}"} for number in ("BS2", "BS1"))
    assert [(await encounter(hub, visit))["subject"] for visit in ("V1", "V2")] == [there, here]
    assert (await hub.only("Observation"))["subject"] == there
    assert await hub.open_findings() == ["account-moved"]


async def test_an_account_whose_visits_nobody_names_says_how_to_move_them(hub: Hub) -> None:
    await sent(hub, admit("BS1", "V1", "1"))
    await sent(hub, _adt("A44", "9", _pid("BS2") + "||||||||||A1", "MRG|BS1^^^BSHIS^MR||A1"))
    assert (await encounter(hub, "V1"))["subject"] == {"reference": f"Patient/{source('BS1')}"}
    text = await hub.pool.fetchval("select text from finding where code = 'merge-not-applied'")
    assert "ADT^A45" in text


async def test_a_visit_that_is_moved_back_stands_where_it_stood(hub: Hub) -> None:
    await sent(hub, admit("BS1", "V1", "1"), with_visit(result("L1", patient="BS1"), "V1"))
    bodies = (
        "select body::text from resource where type in ('Observation', 'DiagnosticReport', 'Encounter') order by id"
    )
    before = [row[0] for row in await hub.pool.fetch(bodies)]
    await sent(hub, _adt("A45", "2", _pid("BS2"), "MRG|BS1||||V1", _pv1("V1")))
    assert [row[0] for row in await hub.pool.fetch(bodies)] != before
    await sent(hub, _adt("A45", "3", _pid("BS1"), "MRG|BS2||||V1", _pv1("V1")))
    assert [row[0] for row in await hub.pool.fetch(bodies)] == before


async def test_a_visit_of_a_third_patient_is_not_moved(hub: Hub) -> None:
    await sent(hub, admit("BS3", "V1", "1"))
    await sent(hub, _adt("A45", "2", _pid("BS2"), "MRG|BS1||||V1", _pv1("V1")))
    assert (await encounter(hub, "V1"))["subject"] == {"reference": f"Patient/{source('BS3')}"}
    assert await hub.open_findings() == ["move-not-applied"]


async def test_a_visit_that_nobody_knows_cannot_be_moved(hub: Hub) -> None:
    await sent(hub, _adt("A45", "2", _pid("BS2"), "MRG|BS1||||V1"))
    assert await hub.open_findings() == ["move-not-applied"]


async def test_numbers_that_are_not_used_any_more_are_old(hub: Hub) -> None:
    await sent(hub, _adt("A04", "1", _pid("BS1") + "||||||||||A1"))
    await sent(hub, _adt("A49", "2", _pid("BS1") + "||||||||||A2", "MRG|BS1||A1"))
    (patient,) = [p for p in await hub.resources("Patient") if "meta" not in p]
    assert {i["value"]: i.get("use") for i in patient["identifier"]} == {"BS1": None, "A1": "old", "A2": None}


async def test_an_account_that_is_merged_into_itself_stays(hub: Hub) -> None:
    await sent(hub, _adt("A41", "2", _pid("BS1") + "||||||||||A1", "MRG|BS1||A1"))
    (patient,) = [p for p in await hub.resources("Patient") if "meta" not in p]
    assert {i["value"]: i.get("use") for i in patient["identifier"]} == {"BS1": None, "A1": None}


async def test_an_alternate_number_of_a_visit_becomes_old(hub: Hub) -> None:
    before = _pv1("V1") + "|" * 31 + "W1"
    await sent(hub, _adt("A01", "1", _pid("BS1"), before))
    await sent(hub, _adt("A51", "2", _pid("BS1"), "MRG|BS1|||||W1", before.replace("W1", "W2")))
    uses = {i["value"]: i.get("use") for i in (await encounter(hub, "V1"))["identifier"]}
    assert uses["W1"] == "old"


async def test_a_deleted_visit_was_an_error_even_where_it_had_ended(hub: Hub) -> None:
    await sent(hub, admit("BS1", "V1", "1"))
    ended = _pv1("V1") + "|" * 25 + "20261120080000|20261121080000"
    await sent(hub, _adt("A23", "2", _pid("BS1"), ended))
    assert (await encounter(hub, "V1"))["status"] == "entered-in-error"
