"""How does a connection that was accepted get its protocol? At once, or after a TLS handshake, which may fail."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial

from pacs_gateway.background import places_of

_HANDSHAKE_SECS = 10.0

_log = logging.getLogger(__name__)


class Handshakes:
    """Those of one channel that are going on; a connection without TLS has its protocol a moment after its begin."""

    def __init__(
        self, channel: str, protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None = None
    ) -> None:
        self._channel = channel
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, accepted: socket.socket) -> None:
        task = self._loop.create_task(self._connect(accepted))
        self._tasks.add(task)
        task.add_done_callback(partial(self._connected, accepted))

    async def close(self) -> None:
        """Gives handshakes up; afterwards every other one has its protocol."""
        if self._tls is not None:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, accepted: socket.socket) -> None:
        await self._loop.connect_accepted_socket(
            self._protocol,
            accepted,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_SECS if self._tls else None,
        )

    def _connected(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            accepted.close()
        elif (error := task.exception()) is not None:
            accepted.close()
            if isinstance(error, OSError):  # of TLS too
                _log.info("channel %s: a connection was not made: %s", self._channel, type(error).__name__)
            else:
                _log.error("channel %s: a connection was not made: %s", self._channel, places_of(error))
