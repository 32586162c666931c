"""Whoever looks at a message later sees who did what with it, and the reason that was given."""

from __future__ import annotations

from typing import Any

import httpx

from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import register
from tests.integration.operate.conftest import ask
from tests.integration.operate.messages import bad_result

CHANNEL = "baishi-his"


async def acts(client: httpx.AsyncClient, word: str) -> list[dict[str, Any]]:
    answer = await client.get("/api/trace", params={"word": word})
    assert answer.status_code == 200, answer.text
    (envelope,) = answer.json()["envelopes"]
    return [{key: act[key] for key in ("actor", "action", "reason")} for act in envelope["acts"]]


async def test_every_reason_of_a_replay_is_told_in_order(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, register(control_id="R1"))
    await hub.run()
    assert await acts(it, "R1") == []
    for reason in ("映射已修改", "又改了一次"):
        await ask(it, "/api/replay", reason=reason, control_id="R1")
        await hub.run()
    told = await acts(it, "R1")
    assert [(act["action"], act["reason"]) for act in told] == [("replay", "映射已修改"), ("replay", "又改了一次")]
    assert all(act["actor"] for act in told)


async def test_the_reasons_of_a_release_and_of_a_skip_stay(hub: Hub, it: httpx.AsyncClient) -> None:
    await hub.send(CHANNEL, bad_result(control_id="U1"))
    await hub.run()
    await ask(it, "/api/held/release", reason="先试一次", channel=CHANNEL)
    await hub.run()
    await ask(it, "/api/held/skip", reason="测试消息", channel=CHANNEL)
    assert [(act["action"], act["reason"]) for act in await acts(it, "U1")] == [
        ("release", "先试一次"),
        ("skip", "测试消息"),
    ]
