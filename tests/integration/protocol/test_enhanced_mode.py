"""Enhanced mode: what MSH-15 asks for is said now, what MSH-16 asks for is owed to the channel's endpoint."""

from __future__ import annotations

import pytest

from engine.codecs import acknowledgment, er7
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import encoded, order, registration


async def owed(hub: Hub) -> list[tuple[str, str]]:
    """MSA-1 and MSA-2 of every application acknowledgment that is owed."""
    rows = await hub.fetch("select endpoint, route, payload, control_id from delivery order by id")
    answers = []
    for row in rows:
        assert (row["endpoint"], row["route"]) == ("his-answers", "application-ack")
        message = er7.parse(row["payload"])
        assert message.control_id == row["control_id"], "the receipt is recognised by it"
        assert (message.header.value(15), message.header.value(16)) == ("AL", "NE")
        msa = message.named("MSA")[0]
        answers.append((msa.value(1), msa.value(2)))
    return answers


NOW = {
    "AL|AL": b"CA",
    "AL|NE": b"CA",
    "SU|AL": b"CA",
    "ER|AL": b"",
    "NE|AL": b"",
    "NE|NE": b"CA",
    "|AL": b"CA",
}


@pytest.mark.parametrize(("modes", "code"), NOW.items(), ids=NOW)
async def test_acceptance_is_said_once_the_message_is_durable(hub: Hub, modes: str, code: bytes) -> None:
    answer = await hub.send("enhanced", registration("P1", "M1", modes=modes))
    assert (acknowledgment.read(answer).code.encode() if answer else b"") == code
    assert await hub.value("select count(*) from journal where control_id = 'M1'") == 1
    assert await owed(hub) == [], "nothing is processed yet"
    await hub.run()
    assert await owed(hub) == ([] if modes.endswith("NE") else [("AA", "M1")])
    assert await hub.value("select state from outcome") == "processed"


OWED_FOR_ERROR = {"AL|AL": [("AE", "M1")], "AL|ER": [("AE", "M1")], "AL|SU": [], "AL|NE": []}


@pytest.mark.parametrize(("modes", "expected"), OWED_FOR_ERROR.items(), ids=OWED_FOR_ERROR)
async def test_an_error_is_told_to_whoever_asked_for_it_and_the_message_is_kept(
    hub: Hub, modes: str, expected: list[tuple[str, str]]
) -> None:
    unknown = registration("P1", "M1", modes=modes).replace(b"ADT^A08", b"ADT^Z99")
    assert acknowledgment.read(await hub.send("enhanced", unknown)).code == "CA"
    await hub.run()
    assert await owed(hub) == expected
    assert await hub.value("select count(*) from inbox where state = 'held'") == 1


async def test_success_alone_is_not_told_to_who_wants_errors_only(hub: Hub) -> None:
    await hub.send("enhanced", registration("P1", "M1", modes="AL|ER"))
    await hub.run()
    assert await owed(hub) == []


async def test_a_repeat_is_accepted_again_and_owes_nothing_more(hub: Hub) -> None:
    payload = registration("P1", "M1", modes="AL|AL")
    first = await hub.send("enhanced", payload)
    await hub.run()
    assert await hub.send("enhanced", payload) == first
    await hub.run()
    assert await owed(hub) == [("AA", "M1")]


async def test_original_mode_stays_as_it_is(hub: Hub) -> None:
    assert acknowledgment.read(await hub.send("enhanced", registration("P1", "M1"))).code == "AA"
    await hub.run()
    assert await owed(hub) == []


CONNECTION = {
    "AL|AL": b"AA",
    "NE|AL": b"AA",
    "AL|NE": b"CA",
    "NE|NE": b"CA",
    "ER|NE": b"",
    "AL|ER": b"CA",
    "SU|SU": b"AA",
}


@pytest.mark.parametrize(("modes", "code"), CONNECTION.items(), ids=CONNECTION)
async def test_without_an_endpoint_one_answer_says_it_on_the_connection(hub: Hub, modes: str, code: bytes) -> None:
    payload = registration("P1", "M1", modes=modes)
    for _ in range(2):
        answer = await hub.send("his", payload)
        assert (acknowledgment.read(answer).code.encode() if answer else b"") == code
    await hub.run()
    assert await hub.value("select state from outcome") == "processed"
    assert await owed(hub) == []


async def test_what_nobody_is_told_of_is_held_like_everything_else(hub: Hub) -> None:
    unknown = registration("P1", "M1", modes="ER|NE").replace(b"ADT^A08", b"ADT^Z99")
    assert await hub.send("his", unknown) == b""
    await hub.run()
    assert await hub.findings() == ["no-mapping"]
    assert await hub.value("select count(*) from inbox where state = 'held'") == 1


async def test_a_channel_that_answers_when_processed_waits_for_what_is_asked(hub: Hub) -> None:
    accepted = await hub.ask("asking", registration("P1", "M1", modes="AL|NE"))
    assert accepted.named("MSA")[0].value(1) == "CA", "acceptance follows the commit"
    answer = await hub.processed("asking", registration("P2", "M2", modes="NE|AL"))
    assert answer.named("MSA")[0].value(1) == "AA"


async def test_errors_only_on_a_channel_that_answers_when_processed(hub: Hub) -> None:
    good = hub.submit("asking", registration("P1", "M1", modes="NE|ER"))
    bad = hub.submit("asking", registration("P2", "M2", modes="NE|ER").replace(b"ADT^A08", b"ADT^Z99"))
    while not (good.done() and bad.done()):
        await hub.run()
        await hub.value("select 1")
    assert good.result() == b""
    refused = bad.result()
    assert refused is not None
    assert acknowledgment.read(refused).code == "AE"


async def test_an_order_is_answered_with_its_response_at_the_endpoint(hub: Hub) -> None:
    payload = order("ORM^O01", "M1", "ORC|NW|A1", "OBR|1|A1||DR1^胸部正位^L", modes="AL|AL")
    assert acknowledgment.read(await hub.send("enhanced-orders", payload)).code == "CA"
    await hub.run()
    (row,) = await hub.fetch("select payload from delivery")
    message = er7.parse(row["payload"])
    assert message.message_type == "ORR^O02"
    assert (message.header.value(15), message.named("MSA")[0].value(2)) == ("AL", "M1")
    assert message.named("ORC")[0].value(1) == "OK"


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8"])
async def test_every_version_is_accepted_and_told_in_its_own_words(hub: Hub, version: str) -> None:
    answer = await hub.ask("enhanced", registration("P1", "M1", modes="AL|AL", version=version))
    assert (answer.header.value(12), answer.named("MSA")[0].value(1)) == (version, "CA")
    await hub.send("enhanced", registration("P2", "M2", modes="AL|AL", version=version).replace(b"A08|", b"Z99|", 1))
    await hub.run()
    assert sorted(await owed(hub)) == [("AA", "M1"), ("AE", "M2")]


async def test_what_is_no_message_is_refused_in_original_mode(hub: Hub) -> None:
    answer = await hub.send("enhanced", b"PID|1||P1\r")
    assert acknowledgment.read(answer).code == "AR"
    await hub.run()
    assert await hub.findings() == ["msh-missing"]
    assert await owed(hub) == []


async def test_a_cut_header_is_read_as_far_as_it_goes(hub: Hub) -> None:
    for cut, payload in enumerate(
        (b"MSH|^~\\&|HIS|BS|||2026||ADT^A08|C1|P|2.5|||AL", b"MSH|^~\\&|HIS|BS|||2026||ADT^A08|C2")
    ):
        answer = await hub.send("enhanced", encoded(payload.decode()))
        assert acknowledgment.read(answer).code == ("CA", "AA")[cut]
