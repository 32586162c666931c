"""Does the sender take as a receipt only what proves acceptance, and say what is to be done about the rest?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.mllp.sender import MllpSender
from engine.codecs.mllp import MllpDecoder, frame
from engine.errors import DeliveryError, Disposition
from tests.integration.mllp.conftest import PATIENCE_SECS, message

NAME = "张智宏"


def ack(code: str, control_id: str, rest: str = "") -> bytes:
    return f"MSH|^~\\&|HIS|BS|HUB|QX|2026||ACK|9|P|2.5\rMSA|{code}|{control_id}{rest}\r".encode()


class Endpoint:
    """A hospital system that answers as the test tells it; None closes the connection instead."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.connections = 0
        self.answers: list[bytes | None] = []
        self.changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        decoder = MllpDecoder()
        while data := await reader.read(65_536):
            decoder.receive_data(data)
            while (payload := decoder.next_frame()) is not None:
                self.received.append(payload)
                self.changed.set()
                if not self.answers:
                    continue
                if (answer := self.answers.pop(0)) is None:
                    writer.transport.abort()
                    return
                writer.write(answer)
        writer.close()

    async def has(self, count: int) -> None:
        """Waits until so many messages have arrived and what was said to them, if anything, is on its way."""
        async with asyncio.timeout(PATIENCE_SECS):
            while len(self.received) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    await endpoint.start()
    yield endpoint
    await endpoint.stop()


@pytest.fixture
async def sender(endpoint: Endpoint) -> AsyncIterator[MllpSender]:
    sender = MllpSender(
        "127.0.0.1", endpoint.port, connect_timeout_secs=PATIENCE_SECS, answer_timeout_secs=PATIENCE_SECS
    )
    yield sender
    await sender.close()


@pytest.mark.parametrize("code", ["AA", "CA"])
async def test_the_exact_bytes_go_out_and_the_answer_is_the_receipt(
    endpoint: Endpoint, sender: MllpSender, code: str
) -> None:
    endpoint.answers = [frame(ack(code, "M1"))]
    assert await sender.send(message(1), "M1") == ack(code, "M1")
    assert endpoint.received == [message(1)]


async def test_one_connection_is_kept(endpoint: Endpoint, sender: MllpSender) -> None:
    endpoint.answers = [frame(ack("AA", f"M{number}")) for number in range(20)]
    for number in range(20):
        await sender.send(message(number), f"M{number}")
    assert endpoint.connections == 1


async def test_two_at_once_take_turns(endpoint: Endpoint, sender: MllpSender) -> None:
    endpoint.answers = [frame(ack("AA", "M1")), frame(ack("AA", "M2"))]
    await asyncio.gather(sender.send(message(1), "M1"), sender.send(message(2), "M2"))
    assert endpoint.received == [message(1), message(2)]


RETRY, HOLD = Disposition.RETRY, Disposition.HOLD

# what comes back → code, disposition, whether the connection is still good
ANSWERS: dict[str, tuple[bytes | None, str, Disposition, bool]] = {
    "an answer to another message": (frame(ack("AA", "M0")), "ack-mismatch", RETRY, False),
    "an answer to no message": (frame(ack("AA", "")), "ack-mismatch", RETRY, False),
    "a closed connection": (None, "connection-lost", RETRY, False),
    "half an answer": (frame(ack("AA", "M1"))[:-2], "no-answer", RETRY, False),
    "no frame": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not-an-answer", RETRY, False),
    "no acknowledgment": (frame(message(1)), "not-an-answer", RETRY, False),
    "no HL7": (frame(b"OK"), "not-an-answer", RETRY, False),
    "two answers": (frame(ack("AA", "M1")) * 2, "not-an-answer", RETRY, False),
    "an error": (frame(ack("AE", "M1", f"|{NAME}")), "refused", HOLD, True),
    "a rejection": (frame(ack("AR", "M1")), "refused", HOLD, True),
    "an enhanced error": (frame(ack("CE", "M1")), "refused", HOLD, True),
    "an enhanced rejection": (frame(ack("CR", "M1", f"\rERR|||{NAME}^x|E")), "refused", HOLD, True),
    "an error that names a condition": (frame(ack("AE", "M1", "\rERR|||101^x^HL70357|E")), "refused", HOLD, True),
    "a locked record": (frame(ack("AE", "M1", "\rERR|||206^x^HL70357|E")), "refused-for-now", RETRY, True),
    "an internal error": (frame(ack("AR", "M1", "|x|||207")), "refused-for-now", RETRY, True),
    "an internal error in words": (
        frame(ack("AE", "M1", "|Application internal error")),
        "refused-for-now",
        RETRY,
        True,
    ),
}


@pytest.mark.parametrize(("answer", "code", "disposition", "kept"), ANSWERS.values(), ids=ANSWERS)
async def test_anything_else_is_no_receipt(
    endpoint: Endpoint, answer: bytes | None, code: str, disposition: Disposition, kept: bool
) -> None:
    patience = 0.2 if code == "no-answer" else PATIENCE_SECS
    sender = MllpSender("127.0.0.1", endpoint.port, answer_timeout_secs=patience)
    endpoint.answers = [answer]
    with pytest.raises(DeliveryError) as refusal:
        await sender.send(message(1), "M1")
    await endpoint.has(1)  # however late: what comes next is the answer to the next message
    sender.answer_timeout_secs = PATIENCE_SECS
    assert (refusal.value.code, refusal.value.disposition) == (code, disposition)
    assert NAME not in str(refusal.value)
    endpoint.answers = [frame(ack("AA", "M1"))]
    assert await sender.send(message(1), "M1") == ack("AA", "M1")
    assert endpoint.connections == (1 if kept else 2)
    assert endpoint.received == [message(1), message(1)]
    await sender.close()


async def test_silence_is_no_receipt_and_a_late_answer_is_not_taken_for_the_next(endpoint: Endpoint) -> None:
    sender = MllpSender("127.0.0.1", endpoint.port, answer_timeout_secs=0.1)
    with pytest.raises(DeliveryError) as refusal:
        await sender.send(message(1), "M1")
    assert (refusal.value.code, refusal.value.disposition) == ("no-answer", RETRY)
    await endpoint.has(1)
    sender.answer_timeout_secs = PATIENCE_SECS
    endpoint.answers = [frame(ack("AA", "M2"))]
    assert await sender.send(message(2), "M2") == ack("AA", "M2")
    assert endpoint.connections == 2
    await sender.close()


async def test_nobody_there_is_worth_another_try(free_port: int) -> None:
    sender = MllpSender("127.0.0.1", free_port)
    with pytest.raises(DeliveryError) as refusal:
        await sender.send(message(1), "M1")
    assert (refusal.value.code, refusal.value.disposition) == ("unreachable", RETRY)
    await sender.close()


async def test_a_restarted_endpoint_is_found_again(endpoint: Endpoint, sender: MllpSender) -> None:
    endpoint.answers = [frame(ack("AA", "M1")), None]
    await sender.send(message(1), "M1")
    with pytest.raises(DeliveryError):
        await sender.send(message(2), "M2")
    await endpoint.stop()
    with pytest.raises(DeliveryError):
        await sender.send(message(2), "M2")
    await endpoint.start()
    endpoint.answers = [frame(ack("AA", "M2"))]
    assert await sender.send(message(2), "M2") == ack("AA", "M2")


async def test_a_sending_that_is_given_up_leaves_no_answer_behind(endpoint: Endpoint, sender: MllpSender) -> None:
    given_up = asyncio.create_task(sender.send(message(1), "M1"))
    await endpoint.has(1)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    endpoint.answers = [frame(ack("AA", "M2"))]
    assert await sender.send(message(2), "M2") == ack("AA", "M2")
    assert endpoint.connections == 2
