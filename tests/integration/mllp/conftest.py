"""A receiver on a real socket with an intake that answers when the test says so, and clients to talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from adapters.mllp.limits import ReceiverLimits
from adapters.mllp.receiver import MllpReceiver
from engine.codecs.mllp import MllpDecoder, frame

Done = Callable[[bytes | None], None]
PATIENCE_SECS = 60
"""Long enough for a machine that stands still for a while: only what never comes is waited for so long."""


def message(number: int, size: int = 0) -> bytes:
    return f"MSH|^~\\&|HIS|BS|HUB|QX|2026||ADT^A04|M{number}|P|2.5\rPID|1||{number}||{'x' * size}\r".encode()


@dataclass
class FakeIntake:
    """Answers each payload with `ACK <its control id>`, at once, or when `answer` is called."""

    at_once: bool = True
    padding: int = 0
    taken: list[tuple[str, str, bytes]] = field(default_factory=list)
    owed: list[tuple[bytes, Done]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def submit(self, channel: str, peer: str, payload: bytes, on_done: Done) -> None:
        self.taken.append((channel, peer, payload))
        self.owed.append((payload, on_done))
        if self.at_once:
            self.answer()
        self.changed.set()

    def answer(self, *, backwards: bool = False) -> None:
        owed, self.owed = self.owed, []
        for payload, on_done in reversed(owed) if backwards else owed:
            on_done(b"ACK " + payload.split(b"|")[9] + b" " * self.padding)

    def fail(self) -> None:
        owed, self.owed = self.owed, []
        for _, on_done in owed:
            on_done(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECS):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Client:
    """One connection that counts what it gets back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = MllpDecoder()

    @classmethod
    async def connect(cls, receiver: MllpReceiver) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", receiver.port))

    def send(self, *payloads: bytes) -> None:
        self.writer.write(b"".join(frame(payload) for payload in payloads))

    async def answer(self) -> bytes:
        """The next answer. Raises EOFError when the connection closed before it."""
        async with asyncio.timeout(PATIENCE_SECS):
            while (payload := self._decoder.next_frame()) is None:
                data = await self.reader.read(65_536)
                if not data:
                    raise EOFError
                self._decoder.receive_data(data)
            return payload

    async def answers(self, count: int) -> list[bytes]:
        return [await self.answer() for _ in range(count)]

    async def pour(self, chunk: bytes, at_most: int) -> None:
        """Writes without reading. Raises ConnectionError when the other side has had enough."""
        async with asyncio.timeout(PATIENCE_SECS):
            for _ in range(0, at_most, len(chunk)):
                self.writer.write(chunk)
                await self.writer.drain()

    async def closed(self) -> bool:
        """Waits for the other side to close; False when it said something instead."""
        async with asyncio.timeout(PATIENCE_SECS):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True

    def leave(self) -> None:
        self.writer.transport.abort()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test runs on both loops: production is uvloop, and the two differ in what they do at the edges."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


Start = Callable[..., Awaitable[MllpReceiver]]


@pytest.fixture
async def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
async def start(intake: FakeIntake) -> AsyncIterator[Start]:
    """Starts a receiver with other limits; closed after the test."""
    receivers: list[MllpReceiver] = []

    async def started(**limits: float) -> MllpReceiver:
        receiver = MllpReceiver("127.0.0.1", 0, "baishi-his", intake, ReceiverLimits(**limits))  # type: ignore[arg-type]  # ints and floats of one table
        await receiver.start()
        receivers.append(receiver)
        return receiver

    yield started
    intake.fail()
    for receiver in receivers:
        await receiver.close()
