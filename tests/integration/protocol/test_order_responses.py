"""An order is answered with its order response, and what a filler answers changes the order it was asked for."""

from __future__ import annotations

import pytest

from engine.codecs import er7
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import order

XRAY = "OBR|1|A1^HIS||DR1^胸部正位^L" + "|" * 20 + "DX"


def orc(answer: er7.Message) -> list[tuple[str, str]]:
    """ORC-1 and ORC-2 of every order."""
    return [(segment.value(1), segment.value(2)) for segment in answer.named("ORC")]


@pytest.mark.parametrize(
    ("kind", "response"),
    [
        ("ORM^O01^ORM_O01", "ORR^O02^ORR_O02"),
        ("OMG^O19^OMG_O19", "ORG^O20^ORG_O20"),
        ("OMI^O23^OMI_O23", "ORI^O24^ORI_O24"),
        ("OML^O21^OML_O21", "ORL^O22^ORL_O22"),
    ],
)
async def test_each_order_message_has_its_response(hub: Hub, kind: str, response: str) -> None:
    answer = await hub.processed("ordering", order(kind, "M1", "ORC|NW|A1^HIS", XRAY))
    assert answer.header.field(9) == response
    assert answer.named("MSA")[0].value(1) == "AA"
    assert orc(answer) == [("OK", "A1")]
    assert answer.named("PID")[0].value(3) == "P1"
    assert answer.named("OBR")[0].value(4) == "DR1"


async def test_the_number_that_hutong_issued_is_told(hub: Hub) -> None:
    answer = await hub.processed("ordering", order("OMI^O23^OMI_O23", "M1", "ORC|NW|A1^HIS", XRAY, "IPC||RP1|||DX"))
    (row,) = await hub.fetch("select accession, study_uid from worklist")
    segment = answer.named("ORC")[0]
    assert (segment.value(3), segment.value(3, comp=2), segment.value(5)) == (row["accession"], "HUTONG", "SC")
    assert answer.named("OBR")[0].value(18) == row["accession"]
    ipc = answer.named("IPC")[0]
    assert [ipc.value(number) for number in (1, 2, 3, 5)] == [row["accession"], "RP1", row["study_uid"], "DX"]


CONTROLS = {
    "CA": ("CR", "CA"),
    "DC": ("DR", "CA"),
    "HD": ("HR", "HD"),
    "XO": ("XR", "SC"),
    "SS": ("SR", "SC"),
    "RP": ("RQ", "RP"),
}


@pytest.mark.parametrize(("control", "told"), CONTROLS.items(), ids=CONTROLS)
async def test_what_was_asked_is_told_as_done(hub: Hub, control: str, told: tuple[str, str]) -> None:
    await hub.processed("ordering", order("ORM^O01", "M1", "ORC|NW|A1^HIS", XRAY))
    answer = await hub.processed("ordering", order("ORM^O01", "M2", f"ORC|{control}|A1^HIS", XRAY))
    segment = answer.named("ORC")[0]
    assert (segment.value(1), segment.value(5)) == told


async def test_each_of_several_orders_is_answered(hub: Hub) -> None:
    groups = ("ORC|NW|A1", "OBR|1|A1||DR1^胸部正位^L", "ORC|NW|A2", "OBR|2|A2||DR2^腹部^L")
    answer = await hub.processed("ordering", order("ORM^O01", "M1", *groups))
    assert orc(answer) == [("OK", "A1"), ("OK", "A2")]


async def test_an_order_that_could_not_be_placed_is_told_apart_from_one_that_was(hub: Hub) -> None:
    taken, other = (f"OBR|1|{placer}||DR1^胸部正位^L{'|' * 14}ACC1{'|' * 6}DX" for placer in ("A1", "A2"))
    await hub.processed("ordering", order("ORM^O01", "M1", "ORC|NW|A1", taken))
    answer = await hub.processed("ordering", order("ORM^O01", "M2", "ORC|NW|A2", other))
    assert orc(answer) == [("UA", "A2")], "the accession number is another order's"
    assert answer.named("MSA")[0].value(1) == "AA"


async def test_a_refused_message_accepts_no_order(hub: Hub) -> None:
    nobody = order("ORM^O01", "M1", "ORC|NW|A1", XRAY).replace(b"PID|1||P1^^^BSHIS^MR", b"PID|1||")
    broken = nobody.replace(b"PID|1|", b"ZZZ|1|")
    answer = await hub.processed("ordering", broken)
    assert answer.named("MSA")[0].value(1) == "AE"
    assert orc(answer) == [("UA", "A1")]
    assert answer.message_type == "ORR^O02"


async def test_a_repeated_order_gets_the_same_response(hub: Hub) -> None:
    payload = order("ORM^O01", "M1", "ORC|NW|A1^HIS", XRAY)
    await hub.processed("ordering", payload)
    first = await hub.send("ordering", payload)
    assert await hub.send("ordering", payload) == first
    assert await hub.value("select count(*) from worklist") == 1


async def test_other_messages_of_the_channel_are_answered_as_ever(hub: Hub) -> None:
    answer = await hub.ask("ordering", order("ADT^A08", "M1", "PV1|1|O"))
    assert answer.message_type == "ACK^A08"


async def test_in_v23_a_response_has_no_structure(hub: Hub) -> None:
    answer = await hub.processed("ordering", order("ORM^O01", "M1", "ORC|NW|A1", XRAY, version="2.3"))
    assert answer.header.field(9) == "ORR^O02"


def response(control: str, *, answers: str, status: str = "", filler: str = "F1^RIS") -> bytes:
    return (
        "MSH|^~\\&|RIS|RIS|HUTONG|HUB|20261121083000||ORR^O02|R1|P|2.5\r"
        f"MSA|AA|{answers}\rORC|{control}|A1^HIS|{filler}||{status}\r"
    ).encode()


ANSWERED = {
    "accepted": ("OK", "", "active", []),
    "not accepted": ("UA", "", "active", ["order-not-accepted"]),
    "cancelled as asked": ("CR", "", "revoked", []),
    "not cancelled": ("UC", "", "active", ["order-not-accepted"]),
    "on hold": ("HR", "", "on-hold", []),
    "done, by ORC-5": ("SR", "CM", "completed", []),
}


@pytest.mark.parametrize(("control", "status", "becomes", "found"), ANSWERED.values(), ids=ANSWERED)
async def test_what_a_filler_answers_later_changes_the_order(
    hub: Hub, control: str, status: str, becomes: str, found: list[str]
) -> None:
    await hub.send("clinic", order("ORM^O01", "M7", "ORC|NW|A1^HIS", XRAY))
    await hub.run()
    assert await hub.value("select control_id from delivery where endpoint = 'ris'") == "M7"
    await hub.send("filler", response(control, answers="M7", status=status))
    await hub.run()
    (placed,) = await hub.resources("ServiceRequest")
    assert placed["status"] == becomes
    assert ("F1" in str(placed["identifier"])) == (control not in ("UA", "UC"))
    assert [code for code in await hub.findings() if code.startswith("order-")] == found
    assert await hub.value("select count(*) from inbox") == 0, "it is held for nobody"


async def test_an_answer_to_an_order_nobody_knows_is_said(hub: Hub) -> None:
    await hub.send("filler", response("OK", answers="M99"))
    await hub.run()
    assert await hub.findings() == ["order-answer-unmatched"]
    assert await hub.value("select state from outcome") == "processed"
    assert await hub.resources("ServiceRequest") == []


@pytest.mark.parametrize(
    ("control", "status", "step"),
    [
        ("OC", "", "cancelled"),
        ("CR", "", "cancelled"),
        ("OD", "DC", "cancelled"),
        ("OH", "", "on-hold"),
        ("UC", "", "scheduled"),
        ("OK", "IP", "scheduled"),
    ],
)
async def test_what_a_filler_calls_off_leaves_the_modality_worklist(
    hub: Hub, control: str, status: str, step: str
) -> None:
    await hub.send("clinic", order("ORM^O01", "M7", "ORC|NW|A1^HIS", XRAY))
    await hub.run()
    await hub.send("filler", response(control, answers="M7", status=status))
    await hub.run()
    assert await hub.value("select state from worklist") == step
    await hub.send("clinic", order("ORM^O01", "M8", "ORC|NW|A1^HIS", XRAY))
    await hub.run()
    assert await hub.value("select state from worklist") == "scheduled", "it is asked for again"


async def test_what_was_performed_stays_so_whatever_a_filler_answers(hub: Hub) -> None:
    await hub.send("clinic", order("ORM^O01", "M7", "ORC|NW|A1^HIS", XRAY))
    await hub.run()
    await hub.pool.execute("update worklist set state = 'performed'")
    await hub.send("filler", response("OC", answers="M7"))
    await hub.run()
    assert await hub.value("select state from worklist") == "performed"
