"""A batch is taken whole or not at all: each message under an envelope of its own, one answer with all answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.codecs import acknowledgment, er7_batch
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import registration

BHS = b"BHS|^~\\&|HIS|BS|HUTONG|HUB|20261121||||B1\r"
FHS = b"FHS|^~\\&|HIS|BS|HUTONG|HUB|20261121||||F1\r"


def batch_of(*messages: bytes, count: str | None = None) -> bytes:
    return BHS + b"".join(messages) + f"BTS|{len(messages) if count is None else count}\r".encode()


def answers(answer: bytes) -> list[tuple[str, str]]:
    """MSA-1 and MSA-2 of every answer in a batch of answers."""
    read = [acknowledgment.read(message) for message in er7_batch.split(answer).messages]
    return [(one.code, one.control_id) for one in read]


async def kinds(hub: Hub) -> list[tuple[str, str]]:
    return [
        (row["kind"], row["control_id"]) for row in await hub.fetch("select kind, control_id from journal order by id")
    ]


async def test_every_message_has_an_envelope_and_the_batch_is_kept_as_it_came(hub: Hub) -> None:
    one, two = registration("P1", "M1"), registration("P2", "M2")
    payload = FHS + batch_of(one, two) + b"FTS|1\r"
    answer = await hub.send("his", payload)
    assert answers(answer) == [("AA", "M1"), ("AA", "M2")]
    assert answer.startswith(b"FHS|^~\\&|HUTONG|HUB|HIS|BS|")
    assert b"|F1\r" in answer, "FHS-12 names the file that is answered"
    assert sorted(await kinds(hub)) == [("hl7v2", "M1"), ("hl7v2", "M2"), ("hl7v2-batch", "F1")]
    kept = await hub.fetch("select payload from journal order by id")
    assert {row["payload"] for row in kept} == {one, two, payload}
    await hub.run()
    assert len(await hub.resources("Patient")) == 4, "two persons, each with a golden Patient"
    assert await hub.value("select count(*) from outcome where state = 'processed'") == 3
    assert await hub.findings() == []


async def test_a_repeated_batch_has_no_second_effect(hub: Hub) -> None:
    payload = batch_of(registration("P1", "M1"), registration("P2", "M2"))
    first = await hub.send("his", payload)
    await hub.run()
    again = await hub.send("his", payload)
    assert answers(again) == answers(first)
    assert await hub.run() == 0
    assert await hub.value("select count(*) from journal") == 3


async def test_a_wrong_count_is_a_finding_and_nothing_is_lost(hub: Hub) -> None:
    answer = await hub.send("his", FHS + batch_of(registration("P1", "M1"), count="2") + b"FTS|3\r")
    assert answers(answer) == [("AA", "M1")]
    await hub.run()
    assert await hub.findings() == ["batch-count", "batch-count"]
    assert await hub.value("select count(*) from outcome where state = 'processed'") == 2


@pytest.mark.parametrize(
    "payload",
    [
        BHS + registration("P1", "M1") + registration("P2", "M2")[:60],
        FHS + batch_of(registration("P1", "M1")),
        BHS + BHS + registration("P1", "M1") + b"BTS|1\rBTS|1\r",
    ],
    ids=["cut", "without the end of the file", "nested"],
)
async def test_a_batch_that_is_not_whole_is_refused_whole_and_kept_for_a_person(hub: Hub, payload: bytes) -> None:
    answer = acknowledgment.read(await hub.send("his", payload))
    assert answer.code == "AR"
    assert "messages came before" in answer.text
    assert await kinds(hub) == [("hl7v2-batch", "")]
    await hub.run()
    assert await hub.findings() == ["batch-broken"]
    assert await hub.resources("Patient") == []
    assert await hub.value("select count(*) from inbox where state = 'held'") == 1


async def test_control_ids_used_twice_within_a_batch(hub: Hub) -> None:
    same, other = registration("P1", "M1"), registration("P2", "M1")
    answer = await hub.send("his", batch_of(same, other, same))
    assert answers(answer) == [("AA", "M1")] * 3
    await hub.run()
    assert await hub.findings() == ["control-id-reused"]
    assert await hub.value("select count(*) from journal where kind = 'hl7v2'") == 2


async def test_a_message_that_nobody_can_read_costs_the_others_nothing(hub: Hub) -> None:
    answer = await hub.send("his", batch_of(registration("P1", "M1"), b"MSH|||\r", registration("P2", "M2")))
    assert [code for code, _ in answers(answer)] == ["AA", "AA", "AA"] or answers(answer)[1][0] == "AR"
    await hub.run()
    assert {patient["id"] for patient in await hub.resources("Patient")}


async def test_each_message_is_answered_as_it_asks(hub: Hub) -> None:
    answer = await hub.send(
        "his", batch_of(registration("P1", "M1", modes="AL|NE"), registration("P2", "M2", modes="ER|NE"))
    )
    assert answers(answer) == [("CA", "M1")]
    assert answer.endswith(b"BTS|1\r")


async def test_an_empty_batch_is_answered_with_an_empty_one(hub: Hub) -> None:
    assert er7_batch.split(await hub.send("his", BHS + b"BTS|0\r")).messages == ()


async def test_a_channel_that_answers_when_processed_does_so_for_batches(hub: Hub) -> None:
    answer = hub.submit("asking", batch_of(registration("P1", "M1"), registration("P2", "M2").replace(b"A08", b"Z99")))
    while not answer.done():
        await hub.run()
    assert answers(answer.result() or b"") == [("AA", "M1"), ("AE", "M2")]


async def test_what_a_connection_sends_behind_a_batch_is_ordered_behind_it(hub: Hub) -> None:
    """Pipelined without waiting: the same patient's later message must not overtake the batch's last one."""
    many = [registration("P1", f"M{n}") for n in range(600)]
    whole = hub.submit("his", batch_of(*many))
    later = hub.submit("his", registration("P1", "LATER"))
    other = hub.submit("his", registration("P1", "OTHER"), peer="10.0.0.2:1")
    await asyncio.wait_for(other, 60)
    await asyncio.wait_for(asyncio.gather(whole, later), 60)
    order = [
        row["control_id"] for row in await hub.fetch("select control_id from journal where kind = 'hl7v2' order by id")
    ]
    assert [one for one in order if one != "OTHER"] == [*(f"M{n}" for n in range(600)), "LATER"]
    assert order.index("OTHER") < 600, "another connection waits for none of it"


async def test_a_batch_of_very_many_messages_leaves_others_their_answers(hub: Hub) -> None:
    """Told by our own work, not by the clock: how long somebody else waits is the machine's affair as well."""
    small = [
        f"MSH|^~\\&|HIS|BS|||2026||ADT^A08|N{n}|P|2.5\rPID|1||N{n % 5000}^^^BSHIS\r".encode() for n in range(30_000)
    ]
    whole = hub.submit("his", batch_of(*small))
    slowest = 0.0
    asked = 0
    while not whole.done():
        began = time.process_time()
        await hub.send("his", registration("P1", f"BESIDE{asked}"), peer="10.0.0.2:1")
        slowest, asked = max(slowest, time.process_time() - began), asked + 1
    assert len(answers(whole.result() or b"")) == 30_000
    assert await hub.value("select count(*) from journal where control_id like 'N%' and kind = 'hl7v2'") == 30_000
    assert asked > 20
    assert slowest < 5, "somebody else waited for the batch"
