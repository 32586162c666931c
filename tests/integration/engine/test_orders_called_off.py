"""What is called off leaves the modality worklist, whoever says so; and comes back when it is wanted after all."""

from __future__ import annotations

import pytest

from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import manifest, order


def reported(status: str, *, placer: str = "O1", control_id: str, at: str = "20261121100000") -> bytes:
    """A report without results, as a RIS sends it when an examination is called off (OBR-25 X, table 0123)."""
    return (
        f"MSH|^~\\&|RIS|BSXWSY|HUTONG|HUB|{at}||ORU^R01|{control_id}|P|2.4\r"
        "PID|1||BS0001^^^BSHIS^MR||石^秀英||19630512|F\r"
        f"ORC|RE|{placer}|F1\r"
        f"OBR|1|{placer}|F1|DR-CHEST-PA^胸部正位DR^L||||||||||||||||||{at}||DX|{status}\r"
    ).encode("gb18030")


async def state(hub: Hub) -> str:
    found: str = await hub.pool.fetchval("select state from worklist")
    return found


async def sent(hub: Hub, payload: bytes) -> None:
    await hub.send("baishi-his", payload)
    await hub.run()
    assert await hub.held() == 0


@pytest.mark.parametrize("control", ["OC", "CR", "DC", "OD", "DR"])
async def test_an_order_that_its_filler_cancels_leaves_and_one_that_is_wanted_again_comes_back(
    hub: Hub, control: str
) -> None:
    await sent(hub, order())
    await sent(hub, order(control=control, control_id="M2"))
    assert await state(hub) == "cancelled"
    await sent(hub, order(control="XO", status="IP", control_id="M3"))
    assert await state(hub) == "scheduled"


async def test_an_examination_that_its_report_says_was_called_off_leaves_until_it_is_reported_on_after_all(
    hub: Hub,
) -> None:
    await sent(hub, order())
    await sent(hub, reported("I", control_id="U1"))
    assert await state(hub) == "scheduled"
    await sent(hub, reported("X", control_id="U2", at="20261121101000"))
    assert await state(hub) == "cancelled"
    assert (await hub.only("ServiceRequest"))["status"] == "active", "a report merely mentions its order"
    await sent(hub, reported("C", control_id="U3", at="20261121102000"))
    assert await state(hub) == "performed"


async def test_a_report_that_comes_too_late_calls_nothing_off(hub: Hub) -> None:
    await sent(hub, order())
    await sent(hub, reported("F", control_id="U1", at="20261121102000"))
    await sent(hub, reported("X", control_id="U2", at="20261121101000"))
    assert await state(hub) == "performed"
    assert await hub.open_findings() == ["late-version"]


async def test_a_report_on_an_order_that_is_on_no_worklist_concerns_none(hub: Hub) -> None:
    await sent(hub, order())
    await sent(hub, reported("X", placer="O9", control_id="U1"))
    assert await state(hub) == "scheduled"


async def test_what_was_performed_stays_so_when_its_report_is_called_off(hub: Hub) -> None:
    await sent(hub, order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    await sent(hub, reported("X", control_id="U1"))
    assert await state(hub) == "performed"


async def test_an_order_that_was_performed_is_not_asked_of_the_modality_again_when_its_cancel_is_taken_back(
    hub: Hub,
) -> None:
    await sent(hub, order(accession="ACC1"))
    await hub.study(manifest("ACC1"))
    await hub.run()
    await sent(hub, order(accession="ACC1", control="CA", control_id="M2"))
    await sent(hub, order(accession="ACC1", control_id="M3"))
    assert await state(hub) == "performed"
