"""Dead letters: what an endpoint refused or nobody delivers is seen, sent again or given up, with a reason."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from engine.clock import now
from engine.envelope import EnvelopeIds
from engine.finding import Finding, Severity
from engine.store import outbox, stranded
from engine.store.findings import Raised, raise_many
from tests.integration.engine.conftest import Hub
from tests.integration.operate.conftest import As, ask

WHY: dict[str, Any] = {"reason": "HIS 已修好"}
REFUSED = Finding("delivery-refused", "The other side will not have it.", Severity.ERROR)
IDS = EnvelopeIds(secrets.randbits)


async def owe(pool: asyncpg.Pool, endpoint: str, count: int = 1, *, hours_ago: float = 0) -> list[UUID]:
    at = now() - timedelta(hours=hours_ago)
    owed = [outbox.Owed(IDS.next(at), endpoint, f"D{n}", b"MSH|", "back") for n in range(count)]
    async with pool.acquire() as connection, connection.transaction():
        await outbox.owe(connection, owed, at)
    return [one.id for one in owed]


async def refuse(pool: asyncpg.Pool, endpoint: str, count: int, code: str = "receiver-rejects") -> list[UUID]:
    """What the courier does when the other side will not have it."""
    ids = await owe(pool, endpoint, count)
    async with pool.acquire() as connection:
        for _ in range(count):
            due = await outbox.oldest_owed(connection, endpoint)
            assert due is not None
            await outbox.refused(connection, due, code, "refused", now())
            await raise_many(connection, [Raised(REFUSED, about=f"Delivery/{due.id}")], now())
    return ids


async def states(pool: asyncpg.Pool) -> dict[str, int]:
    rows = await pool.fetch("select state, count(*) as number from delivery group by state")
    return {row["state"]: row["number"] for row in rows}


async def test_a_refused_delivery_is_sent_again_with_the_same_bytes_in_its_old_order(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    (refused,) = await refuse(hub.pool, "baishi-his", 1)
    await owe(hub.pool, "baishi-his")
    page = (await it.get("/api/deliveries?state=refused&error=receiver-rejects")).json()
    assert [d["id"] for d in page["deliveries"]] == [str(refused)]
    assert "delivery-refused" in await hub.open_findings()

    assert (await ask(it, f"/api/deliveries/{refused}/retry", **WHY))["count"] == 1
    async with hub.pool.acquire() as connection:
        due = await outbox.oldest_owed(connection, "baishi-his")
    assert due is not None
    assert (due.id, due.payload, due.control_id) == (refused, b"MSH|", "D0")
    assert due.next_attempt_at <= now()
    finding = await hub.pool.fetchrow("select settled_by, settlement from finding where code = 'delivery-refused'")
    assert tuple(finding) == ("admin", "Sent again: HIS 已修好")
    act = await hub.pool.fetchrow("select actor, subject, detail ->> 'reason' as why from audit")
    assert tuple(act) == ("admin", f"Delivery/{refused}", "HIS 已修好")


async def test_what_is_given_up_holds_up_nobody_and_may_be_owed_again(hub: Hub, it: httpx.AsyncClient) -> None:
    first, second = await owe(hub.pool, "baishi-his", 2)
    await ask(it, f"/api/deliveries/{first}/give-up", **WHY)
    async with hub.pool.acquire() as connection:
        due = await outbox.oldest_owed(connection, "baishi-his")
    assert due is not None
    assert due.id == second
    (line,) = (await it.get("/api/deliveries?state=given-up")).json()["deliveries"]
    assert (line["given_up_by"], line["given_up_why"]) == ("admin", "HIS 已修好")
    await ask(it, f"/api/deliveries/{first}/retry", **WHY)
    assert await states(hub.pool) == {"owed": 2}
    (line,) = (await it.get("/api/deliveries?state=owed&endpoint=baishi-his&limit=2")).json()["deliveries"][1:]
    assert (line["id"], line["given_up_by"]) == (str(first), None)


async def test_a_refusal_that_comes_back_after_it_was_given_up_changes_nothing(hub: Hub, it: httpx.AsyncClient) -> None:
    (only,) = await owe(hub.pool, "baishi-his")
    async with hub.pool.acquire() as connection:
        due = await outbox.oldest_owed(connection, "baishi-his")
        assert due is not None
        await ask(it, f"/api/deliveries/{only}/give-up", **WHY)
        await outbox.refused(connection, due, "receiver-rejects", "refused", now())
    assert await states(hub.pool) == {"given-up": 1}


async def test_what_was_delivered_is_left_alone(hub: Hub, it: httpx.AsyncClient) -> None:
    (done,) = await owe(hub.pool, "baishi-his")
    async with hub.pool.acquire() as connection:
        due = await outbox.oldest_owed(connection, "baishi-his")
        assert due is not None
        await outbox.delivered(connection, due, b"MSA|AA", now())
    for act in ("retry", "give-up"):
        told = await ask(it, f"/api/deliveries/{done}/{act}", expected=409, **WHY)
        assert told["code"] == "already-delivered"
        assert (await ask(it, f"/api/deliveries/{act}", **WHY, everything=True))["count"] == 0
        await ask(it, f"/api/deliveries/{uuid4()}/{act}", expected=404, **WHY)
    assert await states(hub.pool) == {"delivered": 1}


async def test_many_are_sent_again_or_given_up_by_filter(hub: Hub, it: httpx.AsyncClient) -> None:
    await refuse(hub.pool, "baishi-his", 3)
    await refuse(hub.pool, "baishi-his", 2, code="unsupported")
    await refuse(hub.pool, "county-his", 4)
    await owe(hub.pool, "county-his", 2, hours_ago=72)
    assert (await ask(it, "/api/deliveries/retry", expected=400, **WHY))["code"] == "no-filter"
    for hostile in ("%", "baishi_his%", "' or true --", ""):
        await ask(it, "/api/deliveries/retry", expected=422, **WHY, endpoint=hostile)
    await ask(it, "/api/deliveries/retry", expected=422, **WHY, state="delivered")

    counted = await ask(it, "/api/deliveries/retry", **WHY, endpoint="baishi-his", error="unsupported", dry_run=True)
    assert counted == {"count": 2, "dry_run": True}
    assert await states(hub.pool) == {"refused": 9, "owed": 2}
    assert (await ask(it, "/api/deliveries/retry", **WHY, endpoint="baishi-his", state="refused"))["count"] == 5
    assert (await ask(it, "/api/deliveries/give-up", **WHY, older_than_hours=48))["count"] == 2
    assert await states(hub.pool) == {"refused": 4, "owed": 5, "given-up": 2}
    open_findings = [code for code in await hub.open_findings() if code == "delivery-refused"]
    assert len(open_findings) == 4


async def test_the_backlog_shows_each_endpoint_and_those_that_are_configured_no_more(
    hub: Hub, it: httpx.AsyncClient
) -> None:
    await refuse(hub.pool, "baishi-his", 2)
    await owe(hub.pool, "gone-his", 3, hours_ago=5)
    lines = {line["endpoint"]: line for line in (await it.get("/api/deliveries/backlog")).json()}
    assert (lines["baishi-his"]["configured"], lines["baishi-his"]["refused"]) == (True, 2)
    assert (lines["gone-his"]["configured"], lines["gone-his"]["owed"]) == (False, 3)
    assert lines["gone-his"]["oldest_owed_at"] is not None


async def test_what_is_owed_to_nobody_is_one_finding_until_it_comes_right(hub: Hub, it: httpx.AsyncClient) -> None:
    await owe(hub.pool, "gone-his", 3)
    await owe(hub.pool, "lost-his", 1)
    await owe(hub.pool, "baishi-his", 1)
    async with hub.pool.acquire() as connection:
        for _ in range(2):
            await stranded.tell(connection, ["baishi-his"], now())
    rows = await hub.pool.fetch("select about from finding where code = 'endpoint-unknown' order by about")
    assert [row["about"] for row in rows] == ["Endpoint/gone-his", "Endpoint/lost-his"]

    await ask(it, "/api/deliveries/give-up", **WHY, endpoint="gone-his")
    assert await hub.open_findings() == ["endpoint-unknown"]
    async with hub.pool.acquire() as connection:
        await stranded.tell(connection, ["baishi-his", "lost-his"], now())
    assert await hub.open_findings() == []


async def test_only_integrators_send_again_or_give_up(hub: Hub, as_user: As) -> None:
    (refused,) = await refuse(hub.pool, "baishi-his", 1)
    reader = await as_user("wang")
    for act in ("retry", "give-up"):
        await ask(reader, f"/api/deliveries/{refused}/{act}", expected=403, **WHY)
        await ask(reader, f"/api/deliveries/{act}", expected=403, **WHY, everything=True)
    assert await states(hub.pool) == {"refused": 1}
