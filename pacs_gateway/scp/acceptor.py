"""Where do associations come in? One listening port, everybody on it, and how it closes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine
from functools import partial
from typing import Any

from engine.config import DicomChannel
from engine.errors import ConfigurationError
from pacs_gateway.background import places_of
from pacs_gateway.scp.callers import Callers
from pacs_gateway.scp.connection import Connection
from pacs_gateway.scp.limits import Limits
from pacs_gateway.scp.service import Services

_log = logging.getLogger(__name__)

_BACKLOG = 1024
"""A county's modalities call again all at once after a power cut."""
_SPARE_CONNECTIONS = 64
"""Beyond the associations allowed, for those that are told that they are one too many; more are not even told."""
_HANDSHAKE_SECS = 10.0
_SWEEP_SECS = 1.0


class Acceptor:
    """Listens from `start` to `close`. Implements `Listener`."""

    def __init__(
        self,
        channel: DicomChannel,
        services: Services,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.channel = channel.name
        self.services = services
        self.callers = Callers(channel)
        self.limits = limits or Limits(
            max_associations=channel.max_associations,
            idle_timeout_secs=channel.idle_timeout_secs,
            stall_timeout_secs=channel.stall_timeout_secs,
        )
        self._host = channel.host
        self._asked_port = channel.port
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._associations: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        if self._server is None:
            raise ConfigurationError(f"channel {self.channel} does not listen")
        name: tuple[str, int] = self._server.sockets[0].getsockname()
        return name[1]

    async def start(self) -> None:
        """Raises ConfigurationError when the address cannot be listened on."""
        try:
            self._server = await self._loop.create_server(
                lambda: Connection(self, self._loop),
                self._host,
                self._asked_port,
                backlog=_BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECS if self._tls else None,
            )
        except OSError as error:
            address = f"{self._host}:{self._asked_port}"
            raise ConfigurationError(
                f"channel {self.channel}: cannot listen on {address}: {error.strerror}; stop the program that "
                "has it, or choose another port: or host:"
            ) from error
        self._sweep()

    async def close(self, grace_secs: float) -> None:
        """Stops listening, lets requests that have begun be answered within the grace period, ends associations."""
        if self._server is None:
            return
        self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.end()
        deadline = self._loop.time() + grace_secs
        while (self._connections or self._tasks) and (rest := deadline - self._loop.time()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), rest)
            except TimeoutError:
                break
        for connection in list(self._connections):
            connection.drop()
        self._server = None

    # What its connections tell it.

    def joined(self, connection: Connection) -> bool:
        """Counts it in; False when it is one too many."""
        if len(self._connections) >= self.limits.max_associations + _SPARE_CONNECTIONS:
            _log.warning("channel %s: closed a connection, there are too many", self.channel)
            connection.drop()
        self._connections.add(connection)
        if len(self._associations) >= self.limits.max_associations:
            return False
        self._associations.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._associations.discard(connection)
        self._changed.set()

    def spawn(self, work: Coroutine[Any, Any, None], connection: Connection) -> None:
        """Runs it to its end, whatever becomes of the connection; which is told when it fails."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: Connection, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("channel %s: a request failed: %s", self.channel, places_of(error))
            connection.failed(error)

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            connection.check_time(now)
        self._sweeper = self._loop.call_later(self._sweep_secs(), self._sweep)

    def _sweep_secs(self) -> float:
        limits = self.limits
        return min(
            _SWEEP_SECS,
            *(secs / 4 for secs in (limits.artim_secs, limits.idle_timeout_secs, limits.stall_timeout_secs)),
        )
