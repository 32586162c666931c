"""A simulated HIS says what a real one says, and holds its counterpart to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime
from uuid import UUID

import pytest

from conformance.errors import NoAnswerError, UnexpectedAnswerError
from conformance.simulators import hl7
from conformance.simulators.mllp import MllpConnection, framed, read_block
from conformance.simulators.people import Person
from conformance.simulators.township_his import Answer, His, HisClient, HisInbox, ImagingOrder
from engine.clock import CHINA

BAISHI = His("HIS", "BAISHI", "gb18030")
AT = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)
PATIENT = Person("周珅", "B0001", "331100195603120012", date(1956, 3, 12), "F", "13800000000", "东巷村1号|2户")
ORDER = ImagingOrder("BS1", "DR01", "胸部正位", "DX", "ACC-1", "咳嗽^咳痰", ("1001", "何医生"), AT)


def ids() -> UUID:
    return UUID(int=0xABCDEF << 104)


@asynccontextmanager
async def inbox(his: His = BAISHI, port: int = 0) -> AsyncIterator[HisInbox]:
    opened = HisInbox(his, port)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.go_down()


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[HisClient]:
    async with MllpConnection("127.0.0.1", port) as connection:
        yield HisClient(BAISHI, connection, ids)


async def test_a_registration_arrives_as_it_was_written() -> None:
    async with inbox() as receiving, client_of(receiving.port) as client:
        answer = await client.register(PATIENT, "V1", AT)
    message = receiving.received[0]
    assert answer.code == "AA"
    assert message.value("MSH", 9, 2) == "A04"
    assert message.value("MSH", 18) == "GB 18030-2000"
    assert message.value("PID", 3) == "B0001"
    assert message.value("PID", 5) == "周珅"
    assert message.value("PID", 11, 8) == "东巷村1号|2户"
    assert message.value("PV1", 19) == "V1"


async def test_the_second_byte_of_a_character_may_be_a_delimiter() -> None:
    async with inbox() as receiving, client_of(receiving.port) as client:
        await client.register(PATIENT, "V1", AT)
    assert "珅".encode("gb18030")[1:] == b"|"
    assert "珅".encode("gb18030") in receiving.received[0].payload


async def test_an_order_carries_number_procedure_accession_and_modality() -> None:
    async with inbox() as receiving, client_of(receiving.port) as client:
        await client.order(PATIENT, "V1", ORDER)
        await client.cancel(PATIENT, "V1", ORDER, AT)
    ordered, cancelled = receiving.received
    assert [ordered.value("ORC", 1), cancelled.value("ORC", 1)] == ["NW", "CA"]
    assert ordered.value("ORC", 2) == ordered.value("OBR", 2) == "BS1"
    assert [ordered.value("OBR", 4, n) for n in (1, 2, 3)] == ["DR01", "胸部正位", "L"]
    assert ordered.value("OBR", 13) == "咳嗽^咳痰"
    assert [ordered.value("OBR", n) for n in (18, 24)] == ["ACC-1", "DX"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(Answer.ERROR, "AE"), (Answer.REJECT, "AR"), (Answer.BUSY, "AE"), (Answer.ANOTHER, "MSA-2")],
)
async def test_a_refusal_is_not_taken_for_an_acknowledgment(answer: Answer, said: str) -> None:
    async with inbox() as receiving, client_of(receiving.port) as client:
        receiving.answer = answer
        with pytest.raises(UnexpectedAnswerError, match=said):
            await client.register(PATIENT, "V1", AT)


async def test_an_answer_to_another_message_is_not_taken_for_ours() -> None:
    async def answer_another(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_block(reader)
        writer.write(framed(b"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.4\rMSA|AA|SOMETHING-ELSE\r"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_another, "127.0.0.1", 0)
    async with server, client_of(server.sockets[0].getsockname()[1]) as client:
        with pytest.raises(UnexpectedAnswerError, match="MSA-2"):
            await client.register(PATIENT, "V1", AT)


async def test_a_system_that_never_answers_is_not_waited_for_for_ever() -> None:
    async with inbox() as receiving, MllpConnection("127.0.0.1", receiving.port) as connection:
        await HisClient(BAISHI, connection, ids).register(PATIENT, "V1", AT)
        receiving.answer = Answer.SILENCE
        with pytest.raises(NoAnswerError, match="no answer in"):
            await connection.ask(receiving.received[0].payload, timeout_secs=0.2)
        await receiving.wait_for("it was heard", lambda _: len(receiving.received) == 2, within_secs=60)


async def test_a_system_that_is_down_comes_back_on_its_port(free_port: int) -> None:
    async with inbox(port=free_port) as receiving:
        port = receiving.port
        async with client_of(port) as client:
            await client.register(PATIENT, "V1", AT)
            await receiving.go_down()
            with pytest.raises(NoAnswerError):
                await client.register(PATIENT, "V1", AT)
            await receiving.open()
            assert receiving.port == port
            assert (await client.register(PATIENT, "V1", AT)).code == "AA"


async def test_the_wanted_message_is_found_whether_it_came_or_comes() -> None:
    async with inbox() as receiving, client_of(receiving.port) as client:
        waiting = asyncio.create_task(
            receiving.wait_for("an order", lambda message: message.value("ORC", 2) == "BS1", within_secs=60)
        )
        await client.register(PATIENT, "V1", AT)
        await client.order(PATIENT, "V1", ORDER)
        assert (await waiting).value("MSH", 9) == "ORM"
        found = await receiving.wait_for("the same", lambda message: message.value("MSH", 9) == "ORM", within_secs=60)
        assert found is receiving.received[1]
        with pytest.raises(NoAnswerError, match="a report"):
            await receiving.wait_for("a report", lambda message: message.value("MSH", 9) == "ORU", within_secs=0.05)


async def test_bytes_in_another_charset_are_not_acknowledged() -> None:
    async with inbox() as receiving, MllpConnection("127.0.0.1", receiving.port, timeout_secs=60) as connection:
        with pytest.raises(NoAnswerError):
            await connection.ask(b"MSH|^~\\&|A|B|C|D|||ADT^A04|1|P|2.4\rPID|||1||\xff\xff\r")
        assert receiving.received == []


async def test_garbage_before_a_block_closes_the_connection() -> None:
    async with inbox() as receiving:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiving.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" + framed(b"MSH|^~\\&|\r"))
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


def test_every_delimiter_of_a_value_is_escaped_and_comes_back() -> None:
    awkward = "a|b^c~d&e\\f\ng"
    payload = hl7.message(hl7.segment("PID", {5: (awkward, "二")}), charset="utf-8")
    message = hl7.read(payload, "utf-8")
    assert message.value("PID", 5) == awkward
    assert message.value("PID", 5, 2) == "二"
    assert payload.count(b"|") == 5
