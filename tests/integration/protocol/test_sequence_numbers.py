"""Where a channel says so, messages are taken in the order of MSH-13 and in no other (MSA-4 says which is expected)."""

from __future__ import annotations

import asyncio

import pytest

from engine.codecs import er7
from tests.integration.protocol.conftest import Hub
from tests.integration.protocol.messages import encoded, registration


def start(number: str, control_id: str = "S") -> bytes:
    return encoded(f"MSH|^~\\&|HIS|BS|HUTONG|HUB|2026||ADT^A08|{control_id}|P|2.5|{number}")


def said(answer: er7.Message) -> tuple[str, str]:
    """MSA-1 and MSA-4."""
    return answer.named("MSA")[0].value(1), answer.named("MSA")[0].value(4)


async def test_a_link_starts_runs_and_refuses_what_is_out_of_turn(hub: Hub) -> None:
    assert said(await hub.ask("numbered", start("0"))) == ("AA", "-1"), "nothing is known: any number may be the first"
    assert said(await hub.ask("numbered", registration("P1", "M1", number="41"))) == ("AA", "41")
    assert said(await hub.ask("numbered", registration("P1", "M2", number="42"))) == ("AA", "42")
    assert said(await hub.ask("numbered", start("0"))) == ("AA", "43")
    assert said(await hub.ask("numbered", registration("P1", "M4", number="44"))) == ("AE", "43"), "a gap"
    assert said(await hub.ask("numbered", registration("P1", "M5", number="42"))) == ("AE", "43"), "used before"
    assert said(await hub.ask("numbered", registration("P1", "M3", number="43"))) == ("AA", "43")
    taken = await hub.fetch("select control_id from journal order by id")
    assert [row["control_id"] for row in taken] == ["M1", "M2", "M3"]
    assert await hub.findings() == ["sequence-number"], "told once for each number that is waited for"


async def test_a_lost_acknowledgment_is_told_again_with_the_number_that_comes_next(hub: Hub) -> None:
    payload = registration("P1", "M1", number="1")
    assert said(await hub.ask("numbered", payload)) == ("AA", "1")
    assert said(await hub.ask("numbered", payload)) == ("AA", "2")
    assert await hub.value("select count(*) from journal") == 1
    assert await hub.findings() == []


async def test_resynchronising_takes_whatever_comes_next(hub: Hub) -> None:
    await hub.ask("numbered", registration("P1", "M1", number="7"))
    assert said(await hub.ask("numbered", start("-1"))) == ("AA", "-1")
    assert said(await hub.ask("numbered", registration("P1", "M2", number="3"))) == ("AA", "3")
    assert said(await hub.ask("numbered", registration("P1", "M3", number="8"))) == ("AE", "4")


@pytest.mark.parametrize("number", ["", "x", "-2", "1.5", "１", "9" * 30, '""'])
async def test_what_is_no_number_is_refused(hub: Hub, number: str) -> None:
    answer = await hub.ask("numbered", registration("P1", "M1", number=number))
    assert said(answer)[0] == "AE"
    assert answer.named("ERR")[0].field(2) == "MSH^1^13"
    assert await hub.value("select count(*) from journal") == 0


@pytest.mark.parametrize("number", ["0", "-1"])
async def test_content_is_not_lost_in_a_message_that_starts_the_link(hub: Hub, number: str) -> None:
    answer = await hub.ask("numbered", registration("P1", "M1", number=number))
    assert said(answer) == ("AE", "-1")
    empty = start(number) + b"PID|||^~\\&|\rPV1\r"
    assert said(await hub.ask("numbered", empty))[0] == "AA"


async def test_each_sender_of_a_channel_has_numbers_of_its_own(hub: Hub) -> None:
    await hub.ask("numbered", registration("P1", "M1", number="5"))
    other = registration("P1", "M1", number="90").replace(b"|HIS|BS|", b"|LIS|BS|", 1)
    assert said(await hub.ask("numbered", other)) == ("AA", "90")
    assert said(await hub.ask("numbered", registration("P1", "M2", number="6"))) == ("AA", "6")


async def test_numbers_outlive_the_process(hub: Hub) -> None:
    await hub.ask("numbered", registration("P1", "M1", number="5"))
    await hub.intake.close()
    await hub.intake.start()
    assert said(await hub.ask("numbered", start("0"))) == ("AA", "6")


async def test_pipelined_messages_keep_their_order(hub: Hub) -> None:
    given = [hub.submit("numbered", registration("P1", f"M{n}", number=str(n))) for n in range(1, 30)]
    answers = await asyncio.wait_for(asyncio.gather(*given), 60)
    assert [said(er7.parse(answer or b"")) for answer in answers] == [("AA", str(n)) for n in range(1, 30)]


async def test_an_answer_that_waits_for_processing_echoes_the_number(hub: Hub) -> None:
    answer = await hub.processed("numbered-processed", registration("P1", "M1", number="5"))
    assert said(answer) == ("AA", "5")


async def test_what_is_no_message_is_refused_and_moves_no_number(hub: Hub) -> None:
    assert said(await hub.ask("numbered", b"hello"))[0] == "AR"
    assert said(await hub.ask("numbered", registration("P1", "M1", number="1"))) == ("AA", "1")


async def test_a_channel_without_numbers_ignores_them(hub: Hub) -> None:
    assert said(await hub.ask("his", registration("P1", "M1", number="99"))) == ("AA", "")
