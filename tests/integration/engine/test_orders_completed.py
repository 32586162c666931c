"""A final report completes its order, whichever came first; nobody who tells of the order anew opens it again."""

from __future__ import annotations

import pytest

from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import order, result


async def sent(hub: Hub, *payloads: bytes) -> None:
    for payload in payloads:
        await hub.send("baishi-his", payload)
        await hub.run()
    assert await hub.held() == 0


async def state(hub: Hub) -> str:
    found: str = (await hub.only("ServiceRequest"))["status"]
    return found


def report(status: str = "F", *, filler: str = "F1", code: str = "DR-CHEST-PA", control_id: str = "U1") -> bytes:
    return (
        f"MSH|^~\\&|RIS|BSXWSY|HUTONG|HUB|20261121100000||ORU^R01|{control_id}|P|2.4\r"
        "PID|1||BS0001^^^BSHIS^MR||石^秀英||19630512|F\r"
        f"ORC|RE|O1|{filler}\r"
        f"OBR|1|O1|{filler}|{code}^检查^L||||||||||||||||||||DX|{status}\r"
    ).encode("gb18030")


async def test_a_final_report_completes_its_order_and_takes_it_off_the_worklist(hub: Hub) -> None:
    await sent(hub, order(), report("P", control_id="U0"))
    assert await state(hub) == "active"
    await sent(hub, report("F"))
    assert await state(hub) == "completed"
    assert await hub.pool.fetchval("select state from worklist") == "performed"
    assert (await hub.only("ServiceRequest"))["reasonCode"] == [{"text": "咳嗽两周"}], "nothing else was changed"


async def test_a_report_that_comes_late_or_corrects_leaves_it_completed(hub: Hub) -> None:
    await sent(hub, order(), report("F"), report("P", control_id="U2"), report("C", control_id="U3"))
    assert await state(hub) == "completed"


async def test_an_order_that_comes_after_its_report_is_completed_and_on_no_worklist(hub: Hub) -> None:
    await sent(hub, report("F"))
    assert await state(hub) == "completed"
    await sent(hub, order())
    assert await state(hub) == "completed"
    assert (await hub.only("ServiceRequest"))["reasonCode"] == [{"text": "咳嗽两周"}]
    assert await hub.pool.fetchval("select count(*) from worklist where state = 'scheduled'") == 0


async def test_an_order_that_was_only_said_to_be_completed_is_open_when_it_is_said_to_be(hub: Hub) -> None:
    await sent(hub, order(control="SC", status="CM"), order(control="SC", status="IP", control_id="M2"))
    assert await state(hub) == "active"


@pytest.mark.parametrize("first", [True, False])
async def test_a_cancelled_order_is_cancelled_whenever_its_report_comes(hub: Hub, first: bool) -> None:
    cancelled = order(control="CA", control_id="M2")
    await sent(hub, order(), *((cancelled, report("F")) if first else (report("F"), cancelled)))
    assert await state(hub) == "revoked"


async def test_an_order_waits_for_all_of_its_reports(hub: Hub) -> None:
    await sent(hub, order(), report("P", filler="F1"), report("F", filler="F2", code="CT-HEAD", control_id="U2"))
    assert await state(hub) == "active"
    await sent(hub, report("F", filler="F1", control_id="U3"))
    assert await state(hub) == "completed"


async def test_a_report_that_was_called_off_does_not_keep_its_order_open(hub: Hub) -> None:
    await sent(hub, order(), report("X", filler="F1"))
    assert await state(hub) == "active"
    await sent(hub, report("F", filler="F2", code="CT-HEAD", control_id="U2"))
    assert await state(hub) == "completed"


async def test_a_result_of_an_order_that_nobody_placed_says_how_it_stands(hub: Hub) -> None:
    await sent(hub, result())
    assert await state(hub) == "completed"
