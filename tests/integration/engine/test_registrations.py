"""Registration events on their way from bytes to records: visits change, merges are said and change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import register

ADMISSION = Path(__file__).parents[3] / "mappings" / "hl7v2" / "ADT" / "admission.hl7"


def _admission(event: str = "A01", control_id: str = "QX100001") -> bytes:
    payload = ADMISSION.read_bytes().replace(b"|QXRMYY|", b"|QXZWSY|")
    return payload.replace(b"A01", event.encode()).replace(b"QX100001", control_id.encode())


def _merge(event: str = "A40") -> bytes:
    """The second number of a person is joined to the first."""
    message = register("BS0001", event=event, control_id="M1")
    return message[: message.index(b"PV1|")] + b"MRG|BS0002^^^BSHIS^MR\r"


async def test_an_admission_is_recorded_with_everything_around_it(hub: Hub) -> None:
    await hub.send("qingxi-his", _admission())
    await hub.run()
    assert await hub.held() == 0
    counts = {
        kind: len(await hub.resources(kind))
        for kind in (
            "Encounter",
            "RelatedPerson",
            "Location",
            "AllergyIntolerance",
            "Condition",
            "Procedure",
            "Coverage",
        )
    }
    assert counts == {
        "Encounter": 1,
        "RelatedPerson": 3,
        "Location": 7,
        "AllergyIntolerance": 1,
        "Condition": 2,
        "Procedure": 1,
        "Coverage": 1,
    }


@pytest.mark.parametrize(("event", "status"), [("A03", "finished"), ("A11", "cancelled"), ("A31", "in-progress")])
async def test_a_later_event_changes_the_visit_only_where_it_is_about_the_visit(
    hub: Hub, event: str, status: str
) -> None:
    await hub.send("qingxi-his", _admission())
    await hub.run()
    await hub.send("qingxi-his", _admission(event, "QX100002"))
    await hub.run()
    visit = await hub.only("Encounter")
    assert visit["status"] == status
    assert len(visit["diagnosis"]) == 2
    assert len(await hub.resources("RelatedPerson")) == 3


@pytest.mark.parametrize("event", ["A18", "A34", "A40", "A47"])
async def test_a_merge_joins_nobody_and_says_so(hub: Hub, event: str) -> None:
    await hub.send("baishi-his", register("BS0001", control_id="R1"))
    await hub.send("baishi-his", register("BS0002", control_id="R2"))
    await hub.run()
    before = await hub.resources("Patient")
    await hub.send("baishi-his", _merge(event))
    await hub.run()
    assert await hub.held() == 0
    assert await hub.open_findings() == ["merge-not-applied"]
    assert len(await hub.resources("Patient")) == len(before)


async def test_another_member_s_message_is_held_and_nobody_waits_behind_it(hub: Hub) -> None:
    await hub.send("baishi-his", register("BS0009", sender="QXZWSY", control_id="F1"))
    await hub.send("baishi-his", register("BS0009", control_id="F2"))
    await hub.run()
    assert await hub.open_findings() == ["facility-of-another"]
    assert await hub.held() == 1
    assert len([p for p in await hub.resources("Patient") if p.get("identifier")]) >= 1
    text = await hub.pool.fetchval("select text from finding")
    assert text == "MSH-4 names qingxi, which this channel does not belong to. Send it to a channel of theirs."


async def test_a_sender_that_nobody_knows_is_told_of_and_taken(hub: Hub) -> None:
    await hub.send("baishi-his", register("BS0009", sender="NEWHIS"))
    await hub.run()
    assert await hub.open_findings() == ["facility-mismatch"]
    assert await hub.held() == 0
