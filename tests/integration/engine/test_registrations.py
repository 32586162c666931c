"""Registration events on their way from bytes to records: visits change with their events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine.conftest import Hub

ADMISSION = Path(__file__).parents[3] / "mappings" / "hl7v2" / "ADT" / "admission.hl7"


def _admission(event: str = "A01", control_id: str = "QX100001") -> bytes:
    payload = ADMISSION.read_bytes().replace(b"|QXRMYY|", b"|QXZWSY|")
    return payload.replace(b"A01", event.encode()).replace(b"QX100001", control_id.encode())


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
