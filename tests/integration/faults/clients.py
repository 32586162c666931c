"""Who sends? Clients that keep at it: what was not acknowledged is sent again, the same bytes, on a new connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from conformance.errors import UnexpectedAnswerError
from conformance.simulators.mllp import framed, read_block

RECONNECT_SECS = 0.05
ANSWER_SECS = 90.0
"""Longer than a hub lets anybody wait for what is answered when it is processed."""


class Client:
    """One connection of a sending system to one port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.sent_again = 0

    async def ask(self, payload: bytes) -> bytes:
        """Sends once and returns the answer. Raises OSError or EOFError when the connection ends before it."""
        async with asyncio.timeout(ANSWER_SECS):
            reader, writer = await self._connected()
            try:
                writer.write(framed(payload))
                await writer.drain()
                answer = await read_block(reader)
            except BaseException:
                self.leave()
                raise
        if answer is None:
            self.leave()
            raise EOFError
        return answer

    async def insist(self, payload: bytes) -> bytes:
        """Sends the same bytes until they are answered."""
        while True:
            with suppress(OSError, EOFError, UnexpectedAnswerError):
                return await self.ask(payload)
            self.sent_again += 1
            await asyncio.sleep(RECONNECT_SECS)

    def leave(self) -> None:
        """Drops the connection as a machine that is switched off does."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams


async def send_all(clients: list[Client], queues: list[list[bytes]], on_answer: Callable[[bytes], None]) -> None:
    """Each client insists on its own queue, in order; all at once."""

    async def work(client: Client, queue: list[bytes]) -> None:
        for payload in queue:
            on_answer(await client.insist(payload))

    async with asyncio.TaskGroup() as senders:
        for client, queue in zip(clients, queues, strict=True):
            senders.create_task(work(client, queue))


def msa(answer: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-2."""
    for segment in answer.split(b"\r"):
        if segment.startswith(b"MSA|"):
            fields = segment.decode("ascii", "replace").split("|")
            return fields[1], fields[2]
    raise AssertionError(f"no MSA in {answer!r}")
