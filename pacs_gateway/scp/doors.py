"""Which of the processes that share a port accepts the next connection? The one with the fewest, as long as it lives.

All of them hear of a connection that waits. Each lets those with fewer go first: it waits a moment for every one that
it has. Nobody has to know of the others, and what waits is in a queue that is nobody's own: a process that is killed
takes nothing of it along.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

_AGAIN_SECS = 1.0
"""After the system refused another connection: it has too many open files, or no memory."""
_OF_ONE_CALLER = frozenset(
    {
        *(errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENETUNREACH, errno.ENONET),
        *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOPROTOOPT, errno.EOPNOTSUPP),
    }
)
"""What became of one that waited, as accept(2) tells it; the next is another."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Courtesy:
    """How long others may accept first, and how many are accepted then, should that many wait."""

    secs: float = 0.0
    at_most: int = 1


class Doors:
    """Accepts connections from listening sockets.

    courtesy  asked before each time
    accepted  called with each
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        courtesy: Callable[[], Courtesy],
        accepted: Callable[[socket.socket], None],
    ) -> None:
        self._sockets = sockets
        self._courtesy = courtesy
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}

    def open(self) -> None:
        for one in self._sockets:
            one.setblocking(False)
            self._listen(one)

    def close(self) -> None:
        """Accepts no more; the sockets go on listening."""
        for one in self._sockets:
            self._loop.remove_reader(one)
        for pause in self._pauses.values():
            pause.cancel()

    def _listen(self, one: socket.socket) -> None:
        self._pauses.pop(one, None)
        self._loop.add_reader(one, partial(self._knocked, one))

    def _knocked(self, one: socket.socket) -> None:
        courtesy = self._courtesy()
        if courtesy.secs:
            self._pause(one, courtesy.secs, self._waited)
        else:
            self._accept(one, courtesy.at_most)

    def _waited(self, one: socket.socket) -> None:
        self._listen(one)
        self._accept(one, self._courtesy().at_most)

    def _accept(self, one: socket.socket, at_most: int) -> None:
        for _ in range(at_most):
            try:
                connection, _ = one.accept()
            except BlockingIOError:
                return  # none waits, or somebody else has it
            except OSError as error:
                if error.errno not in _OF_ONE_CALLER:
                    _log.error("no more connections are accepted for %s s: %s", _AGAIN_SECS, error.strerror)
                    self._pause(one, _AGAIN_SECS, self._listen)
                return
            connection.setblocking(False)
            self._accepted(connection)

    def _pause(self, one: socket.socket, secs: float, then: Callable[[socket.socket], None]) -> None:
        """Without its reader, which would tell of the same connection over and over."""
        self._loop.remove_reader(one)
        self._pauses[one] = self._loop.call_later(secs, then, one)


def turning_away(sockets: Sequence[socket.socket]) -> Doors:
    """Whoever calls is not served, and sees it at once."""
    return Doors(sockets, Courtesy, socket.socket.close)
