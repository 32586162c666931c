"""A line between two hubs that carries so much and then stands still, until somebody has cut it or killed an end."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class CutLine:
    """Forwards connections to a port. `carried` counts the bytes of every direction to the receiver."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._free = asyncio.Event()
        self._free.set()
        self._stands_at: int | None = None
        self._server: asyncio.Server | None = None
        self.stands = asyncio.Event()
        self.carried = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self.go_on(None)
        self.cut()
        if self._server is not None:
            self._server.close()

    def go_on(self, more: int | None) -> None:
        """Carries so many bytes more and stands still then; None carries everything."""
        self._stands_at = None if more is None else self.carried + more
        self.stands.clear()
        self._free.set()

    def cut(self) -> None:
        """Ends every connection as a cable does that is pulled: with nothing said."""
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(there_writer)
        await asyncio.gather(self._copy(reader, there_writer, counts=True), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool = False) -> None:
        with suppress(OSError):
            while piece := await reader.read(8192):
                if counts:
                    self.carried += len(piece)
                    if self._stands_at is not None and self.carried >= self._stands_at:
                        self._free.clear()
                        self.stands.set()
                await self._free.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)
