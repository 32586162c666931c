"""What stands at the other end? A system that takes HL7 v2 and answers as a test wants it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from conformance.errors import UnexpectedAnswerError
from conformance.simulators.mllp import framed, read_block
from tests.integration.faults.serving import until

Answer = Callable[[bytes], bytes | None]
"""From a payload to its answer; None closes the connection unanswered."""


class Endpoint:
    """Listens on a fixed port and keeps what came. Use it as a context."""

    def __init__(self, port: int, answer: Answer | None = None) -> None:
        self._port = port
        self.answer = answer or accepted
        self.answers: dict[str, bytes] = {}
        self.received: list[bytes] = []
        self.connections = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.answering.set()
        for writer in tuple(self._writers):
            writer.transport.abort()

    @property
    def control_ids(self) -> list[str]:
        return [control_id(payload) for payload in self.received]

    async def has(self, count: int) -> None:
        await until(f"{count} messages", lambda: len(self.received) >= count, within_secs=120)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (payload := await read_block(reader)) is not None:
                self.received.append(payload)
                await self.answering.wait()
                said = self.answer(payload)
                if said is None:
                    return
                self.answers[control_id(payload)] = said
                writer.write(framed(said))
                await writer.drain()
        except (ConnectionError, UnexpectedAnswerError):
            return  # the hub has gone
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


def control_id(payload: bytes) -> str:
    """MSH-10."""
    return payload.split(b"|", 10)[9].decode()


def accepted(payload: bytes) -> bytes:
    return _acknowledged(payload, f"MSA|AA|{control_id(payload)}")


def refused(payload: bytes, condition: str) -> bytes:
    """AE with an error condition of table 0357."""
    return _acknowledged(payload, f"MSA|AE|{control_id(payload)}\rERR|||{condition}^said^HL70357|E")


def mistaken(payload: bytes) -> bytes:
    """AA for another message."""
    return _acknowledged(payload, "MSA|AA|SOMETHING-ELSE")


def _acknowledged(payload: bytes, said: str) -> bytes:
    return f"MSH|^~\\&|HIS|QX|HUTONG|HUB|20261121090000||ACK|A{control_id(payload)}|P|2.5\r{said}\r".encode()
