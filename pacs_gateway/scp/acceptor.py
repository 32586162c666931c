"""Where do associations come in? One listening port, everybody on it, and how it closes."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Coroutine
from functools import partial
from typing import Any

from engine.config import DicomChannel
from engine.errors import ConfigurationError
from pacs_gateway.background import places_of
from pacs_gateway.scp.callers import NOBODY, Callers, Hears
from pacs_gateway.scp.connection import Connection
from pacs_gateway.scp.doors import Courtesy, Doors
from pacs_gateway.scp.handshakes import Handshakes
from pacs_gateway.scp.limits import Limits
from pacs_gateway.scp.listening import Listening, listen
from pacs_gateway.scp.service import Services

_log = logging.getLogger(__name__)

_SPARE_CONNECTIONS = 64
"""Beyond the associations allowed, for those that are told that they are one too many; more are not even told."""
_COURTESY_SECS = 0.001
"""For each of its own connections a process lets others accept the next one first: more than they need to wake up."""
_LONGEST_COURTESY_SECS = 0.02
_FULL_SECS = 0.05
"""One that has no room for another association lets others accept it first for so long; then it refuses it."""
_BATCH_OF_ITS_OWN = 4
"""One in so many of those it has: when hundreds wait, the shares need not be even to the last one."""
_SWEEP_SECS = 1.0


class Acceptor:
    """Takes associations from `start` to `close`. Implements `Listener`.

    shared  sockets that listen already, in other processes too; each of those has its share of the associations
    hears   who is told of callers
    """

    def __init__(
        self,
        channel: DicomChannel,
        services: Services,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        shared: Listening | None = None,
        hears: Hears = NOBODY,
    ) -> None:
        self.channel = channel.name
        self.services = services
        self.callers = Callers(channel)
        self.hears = hears
        self._processes = shared.processes if shared is not None else 1
        self.limits = limits or Limits(
            max_associations=math.ceil(channel.max_associations / self._processes),
            idle_timeout_secs=channel.idle_timeout_secs,
            stall_timeout_secs=channel.stall_timeout_secs,
        )
        self._configured = channel
        self._listening = shared
        self._loop = asyncio.get_running_loop()
        self._doors: Doors | None = None
        self._handshakes = Handshakes(channel.name, lambda: Connection(self, self._loop), tls)
        self._connections: set[Connection] = set()
        self._associations: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        if self._listening is None:
            raise ConfigurationError(f"channel {self.channel} does not listen")
        return self._listening.port

    async def start(self) -> None:
        """Raises ConfigurationError when the address cannot be listened on."""
        if self._listening is None:
            self._listening = await asyncio.to_thread(listen, self._configured)
        self._doors = Doors(self._listening.sockets, self._courtesy, self._handshakes.begin)
        self._doors.open()
        self._sweep()

    async def close(self, grace_secs: float) -> None:
        """Stops listening, lets requests that have begun be answered within the grace period, ends associations."""
        if self._listening is None:
            return
        if self._doors is not None:
            self._doors.close()
        self._listening.close()
        self._listening = None
        await self._handshakes.close()
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

    def _courtesy(self) -> Courtesy:
        """Toward the other processes, before it accepts more."""
        if self._processes == 1:
            return Courtesy()
        ours = len(self._associations) + len(self._handshakes)
        batch = 1 + ours // _BATCH_OF_ITS_OWN
        room = self.limits.max_associations - len(self._associations)
        if room <= 0:
            return Courtesy(_FULL_SECS, batch)
        return Courtesy(min(ours * _COURTESY_SECS, _LONGEST_COURTESY_SECS), min(batch, room))

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
