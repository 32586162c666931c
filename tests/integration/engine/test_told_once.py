"""What a code lacks is told once for the facility that sends it, however many messages hold it."""

from __future__ import annotations

from engine.clock import now
from engine.finding import Finding
from engine.store import finding_list, findings
from engine.store.finding_list import Choice
from engine.store.findings import Raised
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import order


async def _told(hub: Hub) -> list[tuple[str, str]]:
    rows = await hub.pool.fetch("select about, severity from finding where code = 'recognition-off' order by about")
    return [(row["about"], row["severity"]) for row in rows]


async def test_an_item_without_a_code_of_recognition_is_told_once_for_each_facility_and_code(hub: Hub) -> None:
    await hub.send("baishi-his", order("O1", code="XP-1", control_id="M1"))
    await hub.send("baishi-his", order("O2", code="XP-1", control_id="M2", patient="BS0002"))
    await hub.run()
    await hub.send("baishi-his", order("O3", code="XP-1", control_id="M3"))
    await hub.send("baishi-his", order("O4", code="XP-2", control_id="M4"))
    await hub.send("qingxi-his", order("O5", code="XP-1", control_id="M5", sender="QXZWSY"))
    await hub.run()
    assert await _told(hub) == [
        ("baishi OBR-4 XP-1", "warning"),
        ("baishi OBR-4 XP-2", "warning"),
        ("qingxi OBR-4 XP-1", "warning"),
    ]


async def test_what_a_person_settled_is_not_told_again(hub: Hub) -> None:
    await hub.send("baishi-his", order("O1", code="XP-1", control_id="M1"))
    await hub.run()
    async with hub.pool.acquire() as connection, connection.transaction():
        choice = Choice(code="recognition-off")
        assert await finding_list.settle_many(connection, choice, "wang", "not to be recognised", now()) == 1
    await hub.send("baishi-his", order("O2", code="XP-1", control_id="M2"))
    await hub.run()
    assert "recognition-off" not in await hub.open_findings()


async def test_two_in_one_message_and_in_both_orders_are_each_told(hub: Hub) -> None:
    those = [Raised(Finding("x", "x", once=name), about=name) for name in ("b", "a", "b")]
    async with hub.pool.acquire() as connection:
        await findings.raise_many(connection, [*those, Raised(Finding("x", "x"))], now())
        await findings.raise_many(connection, [*reversed(those), Raised(Finding("x", "x"))], now())
    assert await hub.pool.fetchval("select count(*) from finding where about = any($1)", ["a", "b"]) == 2
    assert await hub.pool.fetchval("select count(*) from finding") == 4
