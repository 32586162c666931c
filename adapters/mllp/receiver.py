"""How do HL7 v2 messages come in? A listening port whose every complete frame goes to the intake."""

from __future__ import annotations

import asyncio
import logging

from adapters.mllp.connection import Connection
from adapters.mllp.door import HANDSHAKE_SECS, Door
from adapters.mllp.limits import ReceiverLimits
from engine.ports import Intake

_log = logging.getLogger(__name__)

_BACKLOG = 1024
"""A county's systems reconnect all at once after a restart."""
_GRACE_SECS = 5.0
_SWEEP_SECS = 1.0


class MllpReceiver:
    """Implements `Receiver`. A positive answer leaves only when the intake has called back with it."""

    def __init__(
        self,
        host: str,
        port: int,
        channel_name: str,
        intake: Intake,
        limits: ReceiverLimits | None = None,
        door: Door | None = None,
    ) -> None:
        self.channel_name = channel_name
        self.intake = intake
        self.limits = limits or ReceiverLimits()
        self.door = door or Door()
        self._host = host
        self._asked_port = port
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: set[Connection] = set()
        self._starved: set[Connection] = set()
        self._to_flush: list[Connection] = []
        self._unanswered_bytes = 0
        self._unfinished_bytes = 0
        self._unfinished_limit = max(self.limits.max_unfinished_bytes, 2 * self.limits.max_message_bytes)
        self._sweeper: asyncio.TimerHandle | None = None
        self._left: asyncio.Event = asyncio.Event()

    @property
    def port(self) -> int:
        if self._server is None:
            return self._asked_port
        name: tuple[str, int] = self._server.sockets[0].getsockname()
        return name[1]

    async def start(self) -> None:
        """Listens. Raises OSError when the address cannot be had."""
        loop = self._loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self, loop),
            self._host,
            self._asked_port,
            backlog=_BACKLOG,
            ssl=self.door.tls,
            ssl_handshake_timeout=HANDSHAKE_SECS if self.door.tls else None,
        )
        self._asked_port = self.port
        self._sweep()

    async def close(self) -> None:
        """Stops listening; what was taken is answered first, within a grace period."""
        if self._server is None or self._loop is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.end()
        deadline = self._loop.time() + _GRACE_SECS
        while self._connections and (rest := deadline - self._loop.time()) > 0:
            self._left.clear()
            try:
                await asyncio.wait_for(self._left.wait(), rest)
            except TimeoutError:
                break
        for connection in list(self._connections):
            connection.abort()
        self._server = None

    # What its connections tell it.

    def joined(self, connection: Connection) -> bool:
        """Counts a connection in; False when it may not come in, or when there are too many."""
        if (reason := self.door.refuses(connection)) is not None:
            _log.warning("channel %s: client %s is refused: %s", self.channel_name, connection.peer, reason)
            return False
        if len(self._connections) >= self.limits.max_connections:
            _log.warning("channel %s: client %s is one too many", self.channel_name, connection.peer)
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._starved.discard(connection)
        self._left.set()

    def held(self, size: int) -> None:
        """A message was taken and is not answered yet."""
        self._unanswered_bytes += size

    def released(self, size: int) -> None:
        """A message was answered; whoever waited for room may go on."""
        self._unanswered_bytes -= size
        if self._starved and self._unanswered_bytes <= self.limits.max_unanswered_bytes // 2:
            starved, self._starved = self._starved, set()
            for connection in starved:
                self.flush_soon(connection)

    def has_room(self, connection: Connection) -> bool:
        """Whether this connection may hand in one more message; if not it is woken later."""
        if self._unanswered_bytes < self.limits.max_unanswered_bytes:
            return True
        self._starved.add(connection)
        return False

    def unfinished(self, connection: Connection, size: int) -> None:
        """How much of an incomplete message a connection holds; beyond the sum allowed the greediest is closed."""
        self._unfinished_bytes += size - connection.unfinished
        connection.unfinished = size
        if self._unfinished_bytes > self._unfinished_limit:
            greediest = max(self._connections, key=lambda one: one.unfinished)
            _log.warning("channel %s: client %s holds too much unfinished", self.channel_name, greediest.peer)
            greediest.abort()

    def flush_soon(self, connection: Connection) -> None:
        """Lets a connection write, together with all others whose answers arrive in this turn of the loop."""
        if not self._to_flush and self._loop is not None:
            self._loop.call_soon(self._flush)
        self._to_flush.append(connection)

    def _flush(self) -> None:
        connections, self._to_flush = self._to_flush, []
        for connection in connections:
            connection.flush()

    def _sweep(self) -> None:
        if self._loop is None:
            return
        now = self._loop.time()
        for connection in list(self._connections):
            connection.check_time(now)
        self._sweeper = self._loop.call_later(self._sweep_secs(), self._sweep)

    def _sweep_secs(self) -> float:
        return min(_SWEEP_SECS, self.limits.stall_timeout_secs / 4, self.limits.idle_timeout_secs / 4)
