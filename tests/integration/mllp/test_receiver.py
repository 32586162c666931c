"""Does the receiver answer what was persisted, in order, and stay whole whatever its clients do?"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
from random import Random
from typing import Any, cast

import pytest

from adapters.mllp import receiver as receiving
from adapters.mllp.connection import Connection
from adapters.mllp.limits import ReceiverLimits
from adapters.mllp.receiver import MllpReceiver
from engine.codecs.mllp import frame
from tests.integration.mllp.conftest import PATIENCE_SECS, Client, FakeIntake, Start, message


def acks(*numbers: int) -> list[bytes]:
    return [f"ACK M{number}".encode() for number in numbers]


async def test_a_message_is_answered_with_what_the_intake_says(intake: FakeIntake, start: Start) -> None:
    client = await Client.connect(receiver := await start())
    client.send(message(1))
    assert await client.answer() == b"ACK M1"
    [(channel, peer, payload)] = intake.taken
    assert channel == "baishi-his"
    assert peer == "{}:{}".format(*client.writer.get_extra_info("sockname"))
    assert payload == message(1)
    assert receiver.port > 0


async def test_no_answer_leaves_before_the_intake_says_so(intake: FakeIntake, start: Start) -> None:
    intake.at_once = False
    client = await Client.connect(await start())
    client.send(message(1))
    await intake.until(lambda: len(intake.owed) == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.reader.read(1)
    intake.answer()
    assert await client.answer() == b"ACK M1"


async def test_many_messages_in_one_write_are_answered_in_order(intake: FakeIntake, start: Start) -> None:
    client = await Client.connect(await start())
    client.send(*[message(number) for number in range(1000)])
    assert await client.answers(1000) == acks(*range(1000))
    assert [payload for _, _, payload in intake.taken] == [message(number) for number in range(1000)]


async def test_a_message_in_single_bytes_is_one_message(intake: FakeIntake, start: Start) -> None:
    client = await Client.connect(await start())
    for byte in frame(message(1)):
        client.writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    assert await client.answer() == b"ACK M1"
    assert len(intake.taken) == 1


async def test_answers_keep_the_order_of_the_messages_whichever_is_ready_first(
    intake: FakeIntake, start: Start
) -> None:
    intake.at_once = False
    client = await Client.connect(await start())
    client.send(message(1), message(2), message(3))
    await intake.until(lambda: len(intake.owed) == 3)
    intake.answer(backwards=True)
    assert await client.answers(3) == acks(1, 2, 3)


async def test_an_answer_waits_for_those_before_it(intake: FakeIntake, start: Start) -> None:
    intake.at_once = False
    client = await Client.connect(await start())
    client.send(message(1), message(2), message(3))
    await intake.until(lambda: len(intake.owed) == 3)
    (_, first), (_, second), (_, third) = intake.owed
    intake.owed.clear()
    third(b"ACK M3")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.reader.read(1)
    first(b"ACK M1")
    assert await client.answer() == b"ACK M1"
    second(b"ACK M2")
    assert await client.answers(2) == acks(2, 3)


class RecordingTransport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


async def test_answers_that_are_ready_together_leave_in_one_write(intake: FakeIntake, start: Start) -> None:
    intake.at_once = False
    connection = Connection(await start(), asyncio.get_running_loop())
    transport = RecordingTransport()
    connection.connection_made(transport)
    connection.data_received(frame(message(1)) + frame(message(2)) + frame(message(3))[:20])
    connection.data_received(frame(message(3))[20:])
    assert transport.writes == []
    intake.answer()
    await asyncio.sleep(0)
    assert transport.writes == [b"".join(frame(answer) for answer in acks(1, 2, 3))]
    connection.connection_lost(None)


async def test_what_cannot_be_persisted_is_not_answered_and_the_connection_closes(
    intake: FakeIntake, start: Start
) -> None:
    intake.at_once = False
    client = await Client.connect(await start())
    client.send(message(1), message(2), message(3))
    await intake.until(lambda: len(intake.owed) == 3)
    (_, first), (_, second), (_, third) = intake.owed
    intake.owed.clear()
    third(b"ACK M3")
    second(None)
    first(b"ACK M1")
    assert await client.answer() == b"ACK M1"
    assert await client.closed()


async def test_reading_stops_while_too_much_is_unanswered(intake: FakeIntake, start: Start) -> None:
    intake.at_once = False
    client = await Client.connect(await start(max_unanswered=4))
    client.send(*[message(number) for number in range(10)])
    await intake.until(lambda: len(intake.owed) == 4)
    other = await Client.connect(await start(max_unanswered=4))
    other.send(message(99))
    await intake.until(lambda: len(intake.owed) == 5)  # the loop has turned: no fifth of the first client came
    assert [payload for _, _, payload in intake.taken].count(message(4)) == 0
    intake.at_once = True
    intake.answer()
    assert await client.answers(10) == acks(*range(10))


async def test_all_clients_together_may_not_fill_the_memory_with_unanswered_messages(
    intake: FakeIntake, start: Start
) -> None:
    intake.at_once = False
    receiver = await start(max_unanswered_bytes=100_000)
    clients = [await Client.connect(receiver) for _ in range(10)]
    for number, client in enumerate(clients):
        client.send(message(number, size=60_000))
    await intake.until(lambda: len(intake.owed) == 2)
    while len(intake.taken) < 10:
        before = len(intake.taken)
        intake.answer()
        await intake.until(lambda seen=before: len(intake.taken) > seen)  # type: ignore[misc]  # a bound default
        assert len(intake.owed) <= 2
    intake.answer()
    for number, client in enumerate(clients):
        assert await client.answer() == f"ACK M{number}".encode()


async def test_a_client_that_never_reads_is_stopped_then_closed_and_harms_nobody(
    intake: FakeIntake, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    intake.padding = 100_000  # so that few answers fill what the kernel buffers
    receiver = await start(stall_timeout_secs=0.2)
    deaf = await Client.connect(receiver)
    deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket transport has it
    other = await Client.connect(receiver)
    with pytest.raises(ConnectionError):
        await deaf.pour(frame(message(1)) * 500, at_most=100_000_000)
    intake.padding = 0
    other.send(message(2))
    assert await other.answer() == b"ACK M2"
    assert "does not read its acknowledgments" in caplog.text
    assert "M1" not in caplog.text


async def test_a_client_that_has_gone_does_not_cost_the_others_their_answers(intake: FakeIntake, start: Start) -> None:
    intake.at_once = False
    receiver = await start()
    gone, other = await Client.connect(receiver), await Client.connect(receiver)
    gone.send(message(1))
    other.send(message(2))
    await intake.until(lambda: len(intake.owed) == 2)
    gone.leave()
    intake.answer()
    assert await other.answer() == b"ACK M2"
    other.send(message(3))
    await intake.until(lambda: len(intake.owed) == 1)
    intake.answer()
    assert await other.answer() == b"ACK M3"


async def test_a_client_that_only_stops_sending_gets_its_answers(intake: FakeIntake, start: Start) -> None:
    intake.at_once = False
    client = await Client.connect(await start(max_unanswered=2))
    client.send(message(1), message(2), message(3))
    client.writer.write_eof()
    await intake.until(lambda: len(intake.owed) == 2)
    intake.at_once = True
    intake.answer()
    assert await client.answers(3) == acks(1, 2, 3)
    assert await client.closed()


async def test_a_truncated_message_is_not_taken(
    intake: FakeIntake, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    client = await Client.connect(await start())
    client.writer.write(frame(message(1)) + frame(message(2))[:-10])
    client.writer.write_eof()
    assert await client.answer() == b"ACK M1"
    assert await client.closed()
    assert [payload for _, _, payload in intake.taken] == [message(1)]
    assert "left inside a message" in caplog.text


@pytest.mark.parametrize(
    "noise",
    [Random(7).randbytes(4096).replace(b"\x0b", b"x"), b"GET / HTTP/1.1\r\n\r\n", message(7), b"\x0b" + message(7) * 2],
)
async def test_noise_closes_its_connection_after_what_came_before_is_answered(
    intake: FakeIntake, start: Start, noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = await start()
    client, other = await Client.connect(receiver), await Client.connect(receiver)
    client.send(message(1))
    assert await client.answer() == b"ACK M1"
    client.writer.write(noise if noise[:1] != b"\x0b" else noise.replace(b"\rMSH", b"\r\x0bMSH") + b"\x1c\r")
    assert await client.closed()
    assert len(intake.taken) == 1
    other.send(message(2))
    assert await other.answer() == b"ACK M2"
    assert "closed" in caplog.text
    assert "PID" not in caplog.text


async def test_a_hundred_megabytes_without_an_end_are_cut_off(
    intake: FakeIntake, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = await start(max_message_bytes=8 * 1024 * 1024)
    client, other = await Client.connect(receiver), await Client.connect(receiver)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client.writer.write(b"\x0b")
    with pytest.raises(ConnectionError):
        await client.pour(b"x" * 65_536, at_most=100 * 1024 * 1024)
    gc.collect()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert "longer than this channel allows" in caplog.text
    other.send(message(2))
    assert await other.answer() == b"ACK M2"


async def test_the_greediest_is_closed_when_unfinished_messages_fill_the_memory(
    intake: FakeIntake, start: Start
) -> None:
    receiver = await start(max_message_bytes=1_000_000, max_unfinished_bytes=2_000_000)
    greedy = await Client.connect(receiver)
    greedy.writer.write(b"\x0b" + b"x" * 900_000)
    await greedy.writer.drain()
    small = [await Client.connect(receiver) for _ in range(8)]
    for client in small:
        client.writer.write(b"\x0b" + message(5, size=200_000))
        await client.writer.drain()
    assert await greedy.closed()
    for client in small:
        client.writer.write(b"\x1c\r")
        assert await client.answer() == b"ACK M5"


async def test_five_hundred_clients_are_served_and_one_more_is_not(intake: FakeIntake, start: Start) -> None:
    receiver = await start(max_connections=500)
    clients = await asyncio.gather(*[Client.connect(receiver) for _ in range(500)])
    for number, client in enumerate(clients):
        client.send(message(number))
    for number, client in enumerate(clients):
        assert await client.answer() == f"ACK M{number}".encode()
    too_many = await Client.connect(receiver)
    assert await too_many.closed()
    clients[0].send(message(0))
    assert await clients[0].answer() == b"ACK M0"
    for client in clients:
        client.leave()


async def test_room_comes_back_when_a_client_leaves(intake: FakeIntake, start: Start) -> None:
    receiver = await start(max_connections=1)
    first = await Client.connect(receiver)
    first.send(message(1))
    assert await first.answer() == b"ACK M1"
    first.writer.write_eof()
    assert await first.closed()
    second = await Client.connect(receiver)
    second.send(message(2))
    assert await second.answer() == b"ACK M2"


async def test_an_idle_client_is_closed(intake: FakeIntake, start: Start) -> None:
    client = await Client.connect(await start(idle_timeout_secs=0.1))
    assert await client.closed()


class StandingLoop:
    """A loop whose time only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


def test_a_client_that_waits_for_its_answer_is_not_idle() -> None:
    intake, loop, transport = FakeIntake(at_once=False), StandingLoop(), RecordingTransport()
    limits = ReceiverLimits(idle_timeout_secs=10, stall_timeout_secs=10)
    connection = Connection(MllpReceiver("127.0.0.1", 0, "his", intake, limits), cast(Any, loop))
    connection.connection_made(transport)
    connection.data_received(frame(message(1)))
    connection.check_time(1000)
    assert not transport.closed
    intake.answer()
    connection.flush()
    assert transport.writes == [frame(b"ACK M1")]
    loop.now = 1000
    connection.data_received(frame(message(2)))
    intake.answer()
    connection.flush()
    connection.check_time(1010)
    assert not transport.closed
    connection.check_time(1011)
    assert transport.closed


async def test_a_client_silent_inside_a_message_is_closed(intake: FakeIntake, start: Start) -> None:
    client = await Client.connect(await start(stall_timeout_secs=0.1))
    client.writer.write(frame(message(1))[:20])
    assert await client.closed()
    assert intake.taken == []


async def test_closing_answers_first_what_was_taken(
    intake: FakeIntake, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "_GRACE_SECS", PATIENCE_SECS)
    intake.at_once = False
    receiver = await start()
    client = await Client.connect(receiver)
    client.send(message(1))
    await intake.until(lambda: len(intake.owed) == 1)
    closing = asyncio.create_task(receiver.close())
    await asyncio.sleep(0)
    intake.answer()
    assert await client.answer() == b"ACK M1"
    assert await client.closed()
    await closing
    with pytest.raises(OSError):
        await Client.connect(receiver)


async def test_normal_work_logs_nothing(intake: FakeIntake, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="adapters")
    client = await Client.connect(await start())
    client.send(message(1))
    await client.answer()
    client.writer.write_eof()
    assert await client.closed()
    assert [record for record in caplog.records if record.name.startswith("adapters")] == []
