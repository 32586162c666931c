"""Each destination gets what it is owed, in order, until a receipt proves it; no destination holds up another."""

from __future__ import annotations

from itertools import pairwise

from tests.integration.delivery.conftest import FACTOR, FIRST_SECS, Town
from tests.integration.delivery.endpoint import Endpoint, accepted, mistaken, refused
from tests.integration.faults.serving import until


async def all_delivered(town: Town, endpoint: str, count: int) -> None:
    async def there() -> bool:
        return await town.states(endpoint) == ["delivered"] * count

    await until(f"{count} deliveries to {endpoint}", there, within_secs=120)


async def test_the_exact_bytes_arrive_and_the_receipt_is_kept(town: Town) -> None:
    async with Endpoint(town.ports["plain"]) as endpoint:
        (payload,) = await town.send("plain", 1)
        await all_delivered(town, "plain", 1)
        assert endpoint.received == [payload]
        (delivery,) = await town.deliveries("plain")
        assert delivery["receipt"] == endpoint.answers["plain.1"]
        assert delivery["delivered_at"] is not None
        assert (delivery["attempts"], delivery["last_error"]) == (1, None)


async def test_a_dead_destination_blocks_only_itself_and_gets_everything_in_order_when_it_is_back(town: Town) -> None:
    numbers = range(1, 31)
    async with Endpoint(town.ports["alive"]) as alive:
        payloads = await town.send("two", *numbers)
        await all_delivered(town, "alive", len(numbers))
        assert alive.received == payloads
        await until("the dead one was tried", lambda: town.attempts("dead"))
        assert await town.states("dead") == ["owed"] * len(numbers)
    async with Endpoint(town.ports["dead"]) as back:
        await all_delivered(town, "dead", len(numbers))
        assert back.received == payloads
    first, *others = await town.deliveries("dead")
    assert first["attempts"] > 1
    assert [row["attempts"] for row in others] == [1] * len(others), "only the oldest was tried while it was dead"
    assert {row["outcome"] for row in await town.attempts("dead")} == {"unreachable", "delivered"}


async def test_what_is_refused_for_good_becomes_a_finding_and_the_next_goes_on(town: Town) -> None:
    def pick(payload: bytes) -> bytes:
        return refused(payload, "102") if b"|refusing.1|" in payload else accepted(payload)

    async with Endpoint(town.ports["refusing"], pick) as endpoint:
        payloads = await town.send("refusing", 1, 2)

        async def settled() -> bool:
            return await town.states("refusing") == ["refused", "delivered"]

        await until("one is refused, the next delivered", settled)
        assert endpoint.received == payloads, "what was refused was sent once"
    first, _ = await town.deliveries("refusing")
    assert first["last_error"] == "refused"
    async with town.hub.database() as database:
        finding = await database.fetchrow("select * from finding where about = $1", f"Delivery/{first['id']}")
    assert finding["code"] == "delivery-refused"
    assert finding["settled_at"] is None


async def test_what_is_refused_for_now_is_sent_again_with_the_same_bytes_and_control_id(town: Town) -> None:
    async with Endpoint(town.ports["passing"], lambda payload: refused(payload, "207")) as endpoint:
        (payload,) = await town.send("passing", 1)
        await endpoint.has(2)
        endpoint.answer = accepted
        await all_delivered(town, "passing", 1)
        assert set(endpoint.received) == {payload}
        assert set(endpoint.control_ids) == {"passing.1"}
    outcomes = [row["outcome"] for row in await town.attempts("passing")]
    assert outcomes == ["refused-for-now"] * (len(outcomes) - 1) + ["delivered"]
    assert len(outcomes) > 2


async def test_the_acknowledgment_of_another_message_is_no_receipt(town: Town) -> None:
    async with Endpoint(town.ports["mistaking"], mistaken) as endpoint:
        payloads = await town.send("mistaking", 1, 2)
        await endpoint.has(2)
        assert set(endpoint.received) == {payloads[0]}, "the next one waits"
        endpoint.answer = accepted
        await all_delivered(town, "mistaking", 2)
    first, _ = await town.deliveries("mistaking")
    assert first["receipt"] == endpoint.answers["mistaking.1"]
    assert {row["outcome"] for row in await town.attempts("mistaking")} == {"ack-mismatch", "delivered"}


async def test_the_pauses_between_attempts_grow(town: Town) -> None:
    async with Endpoint(town.ports["silent"], lambda _: None) as endpoint:
        await town.send("silent", 1)
        await endpoint.has(4)
        endpoint.answer = accepted
        await all_delivered(town, "silent", 1)
    attempts = await town.attempts("silent")
    pauses = [(later["at"] - earlier["at"]).total_seconds() for earlier, later in pairwise(attempts)]
    assert len(pauses) >= 3
    for number, pause in enumerate(pauses):
        assert pause >= min(1, FIRST_SECS * FACTOR**number)
    assert {row["outcome"] for row in attempts} == {"connection-lost", "delivered"}


async def test_the_engine_killed_while_an_answer_is_awaited_sends_the_same_again(town: Town) -> None:
    await killed_in_the_middle(town, "killed", "engine")


async def test_postgres_killed_while_an_answer_is_awaited_lets_the_same_be_sent_again(town: Town) -> None:
    await killed_in_the_middle(town, "lost", "postgres")


async def killed_in_the_middle(town: Town, channel: str, role: str) -> None:
    """At least once, under one control id, and nothing overtakes."""
    async with Endpoint(town.ports[channel]) as endpoint:
        await town.send(channel, 1)
        await all_delivered(town, channel, 1)
        endpoint.answering.clear()
        payloads = await town.send(channel, 2, 3)
        await endpoint.has(2)
        await town.hub.kill(role)
        await town.hub.revived(role)
        endpoint.answering.set()
        await all_delivered(town, channel, 3)
        assert set(endpoint.received[1:-1]) == {payloads[0]}
        assert len(endpoint.received) >= 4, "it was not sent again"
        assert endpoint.received[-1] == payloads[1]
    rows = await town.deliveries(channel)
    assert [row["receipt"] for row in rows] == [endpoint.answers[row["control_id"]] for row in rows]
