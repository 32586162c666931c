"""One doubt about one value of a patient is one finding, however many messages say it; another value is another one."""

from __future__ import annotations

from typing import Any

import httpx

from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import card, register
from tests.integration.operate.conftest import ask
from tests.integration.operate.test_replay import CHANNEL, replayed

CODE = "id-card-check-digit"


def wrong(number: int) -> str:
    """A number whose check character is wrong."""
    good = card(number)
    return good[:-1] + ("1" if good[-1] != "1" else "2")


async def say(hub: Hub, patient: str, number: str, control_id: str) -> None:
    await hub.send(CHANNEL, register(patient, card=number, control_id=control_id, event="A08"))
    await hub.run()


async def found(it: httpx.AsyncClient, **filters: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await it.get("/api/findings", params={"code": CODE, **filters})).json()["findings"]
    return listed


async def test_what_nine_messages_say_is_counted_and_a_different_value_is_not_hidden(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    for number in range(9):
        await say(hub, "BS1", wrong(1), f"C{number}")
    (one,) = await found(it)
    last = await hub.pool.fetchval("select id from journal where control_id = 'C8'")
    assert (one["times"], one["envelope"]) == (9, str(last))
    assert one["first_found_at"] < one["found_at"]
    await say(hub, "BS1", wrong(2), "D1")
    await say(hub, "BS2", wrong(1), "E1")
    assert sorted(each["times"] for each in await found(it)) == [1, 1, 9]
    (cause,) = (await it.get("/api/findings/causes", params={"code": CODE})).json()
    assert (cause["findings"], cause["times"], cause["rule"]) == (3, 11, "pid-3")


async def test_every_message_that_said_it_tells_of_it_and_is_found_by_it(hub: Hub, it: httpx.AsyncClient) -> None:
    for number in range(3):
        await say(hub, "BS1", wrong(1), f"C{number}")
    for row in await hub.pool.fetch("select id from journal"):
        (walk,) = (await it.get("/api/trace", params={"word": str(row["id"])})).json()["envelopes"]
        assert [finding["code"] for finding in walk["findings"]] == [CODE]
        assert len(await found(it, envelope=str(row["id"]))) == 1
    assert (await ask(it, "/api/replay", reason="x", code=CODE, dry_run=True))["count"] == 3


async def test_what_is_processed_again_is_not_counted_again(hub: Hub, it: httpx.AsyncClient) -> None:
    for number in range(3):
        await say(hub, "BS1", wrong(1), f"C{number}")
    before = await found(it)
    assert await replayed(hub, it, everything=True) == 3
    assert await found(it) == before


async def test_what_comes_again_after_it_was_settled_is_found_anew_and_once(hub: Hub, it: httpx.AsyncClient) -> None:
    for number in range(2):
        await say(hub, "BS1", wrong(1), f"C{number}")
    await ask(it, "/api/findings/settle", code=CODE, settlement="已在源头更正")
    assert await found(it) == []
    for number in range(2):
        await say(hub, "BS1", wrong(1), f"D{number}")
    (one,) = await found(it)
    assert one["times"] == 2
    (old,) = await found(it, state="settled")
    assert (old["times"], old["settlement"]) == (2, "已在源头更正")
