"""Which of the processes that share a port takes the next connection? The one with the fewest, as long as it lives.

All of them hear of a connection that waits. Each lets those with fewer go first: it waits a moment for every one that
it has. Nobody has to know of the others, and what waits is in a queue that is nobody's own: a process that is killed
takes nothing of it along.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from functools import partial

_AGAIN_SECS = 1.0
"""After the system refused another connection: it has too many open files, or no memory."""
_GONE = frozenset({errno.ECONNABORTED, errno.EPROTO})
"""The caller went away while it waited."""

_log = logging.getLogger(__name__)


class Doors:
    """Takes connections from listening sockets, one at a time.

    courtesy_secs  asked before each: how long others may take it first
    taken          called with each
    """

    def __init__(
        self,
        sockets: tuple[socket.socket, ...],
        courtesy_secs: Callable[[], float],
        taken: Callable[[socket.socket], None],
    ) -> None:
        self._sockets = sockets
        self._courtesy_secs = courtesy_secs
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}

    def open(self) -> None:
        for one in self._sockets:
            one.setblocking(False)
            self._listen(one)

    def close(self) -> None:
        """Takes no more; the sockets go on listening."""
        for one in self._sockets:
            self._loop.remove_reader(one)
        for pause in self._pauses.values():
            pause.cancel()

    def _listen(self, one: socket.socket) -> None:
        self._pauses.pop(one, None)
        self._loop.add_reader(one, partial(self._knocked, one))

    def _knocked(self, one: socket.socket) -> None:
        secs = self._courtesy_secs()
        if not secs:
            self._take(one)
            return
        self._loop.remove_reader(one)  # else it would tell us of the same connection over and over
        self._pauses[one] = self._loop.call_later(secs, self._take_after, one)

    def _take_after(self, one: socket.socket) -> None:
        self._listen(one)
        self._take(one)

    def _take(self, one: socket.socket) -> None:
        try:
            connection, _ = one.accept()
        except BlockingIOError:
            return  # somebody else has taken it
        except OSError as error:
            if error.errno not in _GONE:
                _log.error("no more connections are taken for %s s: %s", _AGAIN_SECS, error.strerror)
                self._loop.remove_reader(one)
                self._pauses[one] = self._loop.call_later(_AGAIN_SECS, self._listen, one)
            return
        connection.setblocking(False)
        self._taken(connection)
