"""What others are owed to hear is a delivery: every attempt is seen, and it is sent again, given up, never lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from engine import clock
from engine.config import Retry
from engine.store import delivery_list, notifications
from engine.store.delivery_list import Choice, DeliveryLine
from pacs_gateway import claiming, notifying
from tests.integration.gateway import notifying_process
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.listening import QUICK, Listener
from tests.integration.gateway.performing import begun, change, create, ended
from tests.integration.gateway.sending import PATIENCE_SECS, until

STEP = "1.2.3.5"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "IDLE_SECS", 0.05)


@pytest.fixture
def ris() -> Listener:
    return Listener()


async def lines(pool: asyncpg.Pool) -> list[DeliveryLine]:
    """Those that stand in front first."""
    async with pool.acquire() as connection:
        return (await delivery_list.listed(connection, Choice(), after=None, limit=100))[::-1]


async def in_state(pool: asyncpg.Pool, *states: str) -> None:
    async def reached() -> bool:
        return [line.state for line in await lines(pool)] == list(states)

    await until(reached)


async def test_what_is_refused_is_a_dead_letter_with_its_attempts_and_lets_the_next_one_pass(
    start: Start, pool: asyncpg.Pool, ris: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "REFUSALS", 3)
    ris.answers = 0x0110
    with ris.listening():
        gateway = await start(endpoints={"ris": ris.endpoint()})
        await asyncio.to_thread(create, gateway.port, begun())
        await in_state(pool, "refused")
        (line,) = await lines(pool)
        assert (line.endpoint, line.control_id, line.route) == ("ris", STEP, "performed_steps_of")
        assert line.about is not None
        assert line.about.startswith("Procedure/")
        said = [(attempt.outcome, attempt.detail) for attempt in line.latest_attempts]
        assert said == [("status-0110", "processing failure")] * 3
        assert await pool.fetchval("select about from finding where code = 'delivery-refused'") == f"Delivery/{line.id}"

        ris.answers = 0x0000
        await asyncio.to_thread(change, gateway.port, ended())
        await in_state(pool, "refused", "delivered")
        async with pool.acquire() as connection, connection.transaction():
            chosen = Choice(state="refused", endpoint="ris")
            assert await delivery_list.retry(connection, chosen, "admin", "mended", clock.now()) == 1
        await in_state(pool, "delivered", "delivered")
        assert [one.receipt for one in await lines(pool)] == [b'{"status": "0111"}', b'{"status": "0000"}']
    assert {str(said.PatientName) for operation, _, said in ris.heard if operation == "create"} == {
        "ZHANG^ZHIHONG=张智宏"
    }
    assert not await pool.fetchval("select count(*) from finding where settled_at is null and code like 'delivery-%'")


async def test_a_system_that_was_away_for_long_is_not_given_up_at_its_first_refusal(
    start: Start, pool: asyncpg.Pool, ris: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "REFUSALS", 2)
    gateway = await start(endpoints={"ris": ris.endpoint()})
    await asyncio.to_thread(create, gateway.port, begun())

    async def tried_often() -> bool:
        return (await lines(pool))[0].attempts > 3

    await until(tried_often)
    ris.answers = 0x0110
    with ris.listening():
        await in_state(pool, "refused")
    outcomes = [attempt.outcome for attempt in (await lines(pool))[0].latest_attempts]
    assert outcomes.count("status-0110") == 2
    assert outcomes.count("unreachable") > 3


async def test_what_is_given_up_is_not_sent_and_what_waits_behind_it_is(
    start: Start, pool: asyncpg.Pool, ris: Listener
) -> None:
    seldom = Retry(first_secs=3600, max_secs=3600)
    gateway = await start(endpoints={"ris": ris.endpoint(retry=seldom)})
    for uid in (STEP, "1.2.3.6"):
        await asyncio.to_thread(create, gateway.port, begun(), uid)

    async def tried() -> bool:
        """And not being tried: what is given up within an attempt may have been heard."""
        return (await lines(pool))[0].attempts == 1

    await until(tried)
    async with pool.acquire() as connection, connection.transaction():
        first = Choice([(await lines(pool))[0].id])
        assert await delivery_list.give_up(connection, first, "admin", "entered by hand", clock.now()) == 1
    with ris.listening():
        await in_state(pool, "given-up", "delivered")
    assert [uid for _, uid, _ in ris.heard] == ["1.2.3.6"]


async def test_a_system_that_does_not_provide_the_class_is_named_and_gets_what_stands_behind_it(
    start: Start, pool: asyncpg.Pool, ris: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "REFUSALS", 3)
    with ris.listening("1.2.840.10008.1.1"):
        gateway = await start(endpoints={"ris": ris.endpoint()})
        await asyncio.to_thread(create, gateway.port, begun())
        await in_state(pool, "refused")
    (line,) = await lines(pool)
    assert [attempt.outcome for attempt in line.latest_attempts] == ["sop-class-not-taken"] * 3
    assert await pool.fetchval("select about from finding where code = 'delivery-refused'") == f"Delivery/{line.id}"
    with ris.listening():
        await asyncio.to_thread(create, gateway.port, begun(), "1.2.3.6")
        await in_state(pool, "refused", "delivered")


async def test_a_payload_that_is_no_notification_holds_up_nobody(
    start: Start, pool: asyncpg.Pool, ris: Listener
) -> None:
    with ris.listening():
        gateway = await start(endpoints={"ris": ris.endpoint(retry=QUICK)})
        ris.goes_on.clear()
        await asyncio.to_thread(create, gateway.port, begun(), "1.2.3.4")

        async def heard() -> bool:
            return bool(ris.heard)

        await until(heard)
        await asyncio.to_thread(create, gateway.port, begun())
        await asyncio.to_thread(create, gateway.port, begun(), "1.2.3.6")
        await pool.execute("update delivery set payload = '{\"what\":' where control_id = $1", STEP)
        ris.goes_on.set()
        await in_state(pool, "delivered", "refused", "delivered")


async def test_two_that_are_owed_in_one_moment_keep_their_order_whatever_the_clock_says(pool: asyncpg.Pool) -> None:
    message = notifications.Notification(notifications.Operation.SET, "1.2", "1.3", "1.2.840.10008.1.2", b"\x08\x00")
    at = clock.now()
    added = []
    async with pool.acquire() as connection, connection.transaction():
        for place in range(20):
            owed = notifications.Owed("ris", message, str(place), None, "performed_steps_of")
            added += await notifications.owe(connection, [owed], at.replace(year=at.year - place % 2))
    assert [line.control_id for line in await lines(pool)] == [due.control_id for due in added]
    assert notifications.read(added[0].payload) == message


async def test_nothing_is_lost_and_ids_stay_the_same_when_a_gateway_is_killed_while_it_tells(
    database_url: str, start: Start, pool: asyncpg.Pool, ris: Listener, objects: Path
) -> None:
    """It is killed between what the system heard and its answer: the worst moment."""

    async def heard() -> bool:
        return bool(ris.heard)

    with ris.listening():
        ris.goes_on.clear()
        async with gateway_process(database_url, objects, ris.port) as port:
            for uid in ("1.2.3.5", "1.2.3.6"):
                await asyncio.to_thread(create, port, begun(), uid)
                await asyncio.to_thread(change, port, ended(), uid)
            await until(heard)
        ids = [line.id for line in await lines(pool)]
        ris.goes_on.set()
        await pool.execute("update delivery set next_attempt_at = now()")  # the dead process had the first claimed
        await start(objects / "later", endpoints={"ris": ris.endpoint()})
        await in_state(pool, *["delivered"] * 4)
    assert [line.id for line in await lines(pool)] == ids
    told = list(dict.fromkeys((operation, uid) for operation, uid, _ in ris.heard))
    assert told == [("create", "1.2.3.5"), ("set", "1.2.3.5"), ("create", "1.2.3.6"), ("set", "1.2.3.6")]
    assert len(ris.heard) > len(told)


async def test_what_is_being_told_stays_with_its_process_and_goes_to_another_when_that_is_gone(
    start: Start, pool: asyncpg.Pool, ris: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "AGAIN_SECS", 0.02)
    claims: set[datetime] = set()

    async def claimed_often() -> bool:
        claims.add(await pool.fetchval("select next_attempt_at from delivery"))
        return len(claims) > 3

    async def heard_again() -> bool:
        return len(ris.heard) > 1

    with ris.listening():
        ris.goes_on.clear()
        first = await start(endpoints={"ris": ris.endpoint()})
        await asyncio.to_thread(create, first.port, begun())
        await until(claimed_often)
        await start(endpoints={"ris": ris.endpoint()})
        claims.clear()
        await until(claimed_often)
        assert len(ris.heard) == 1
        await first.close()
        await pool.execute("update delivery set next_attempt_at = now()")  # its claim has run out
        await until(heard_again)
        ris.goes_on.set()
        await in_state(pool, "delivered")


@asynccontextmanager
async def gateway_process(database_url: str, objects: Path, ris_port: int) -> AsyncIterator[int]:
    """Its port; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", notifying_process.__name__, database_url, objects, str(ris_port),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE_SECS):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.kill()
        await process.wait()
