"""What happens on one inbound MLLP connection? Bytes to frames to the intake, and answers back in order.

No task is made per message: the intake calls back, and all answers that became ready in one turn of the loop leave in
one write.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

from adapters.mllp.door import Certificate
from engine.codecs.mllp import MllpDecoder
from engine.errors import FramingError, StorageError

if TYPE_CHECKING:
    from adapters.mllp.receiver import MllpReceiver

_log = logging.getLogger(__name__)

_WRITE_BUFFER_BYTES = 64 * 1024
"""Acknowledgments that a client has not read; beyond it the client is not read from either."""


class _Answer:
    """The place of one message's acknowledgment in the order of its connection; called with it by the intake."""

    __slots__ = ("acknowledgment", "connection", "ready", "size")

    def __init__(self, connection: Connection, size: int) -> None:
        self.connection = connection
        self.size = size
        self.ready = False
        self.acknowledgment: bytes | None = None

    def __call__(self, acknowledgment: bytes | None) -> None:
        if self.ready:
            return
        self.ready = True
        self.acknowledgment = acknowledgment
        self.connection.answered(self)


class Connection(asyncio.Protocol):
    """One client. It reads while it may, and ends by itself when told to and nothing is owed."""

    def __init__(self, receiver: MllpReceiver, loop: asyncio.AbstractEventLoop) -> None:
        self._receiver = receiver
        self._limits = receiver.limits
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._decoder = MllpDecoder(receiver.limits.max_message_bytes)
        self._waiting: deque[_Answer] = deque()
        self._reading = True
        self._flush_due = False
        self._heard_all = False
        self._ending = False
        self._heard_at = loop.time()
        self._stalled_at: float | None = None  # when the client stopped reading, or the end began
        self._writable = True
        self.peer = ""
        self.address = ""
        self.certificate: Certificate | None = None
        self.unfinished = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""
        self.address = str(name[0]) if isinstance(name, tuple) else ""
        self.certificate = transport.get_extra_info("peercert")
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        _keep_alive(self._transport)
        if not self._receiver.joined(self):
            self._ending = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ending = True
        self._discard()
        self._waiting.clear()
        self._receiver.left(self)

    def data_received(self, data: bytes) -> None:
        if self._ending:
            return
        self._heard_at = self._loop.time()
        self._decoder.receive_data(data)
        self._take()

    def eof_received(self) -> bool:
        """The client sends no more but may still read: what it sent is answered first."""
        self._heard_all = True
        self._take()
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None  # TLS has no half

    def pause_writing(self) -> None:
        self._writable = False
        self._stalled_at = self._loop.time()

    def resume_writing(self) -> None:
        self._writable = True
        if not self._ending:
            self._stalled_at = None
        self._take()

    def resume(self) -> None:
        """The receiver as a whole has room again."""
        self._take()

    def answered(self, answer: _Answer) -> None:
        self._receiver.released(answer.size)
        if self._transport is not None and not self._flush_due:
            self._flush_due = True
            self._receiver.flush_soon(self)

    def flush(self) -> None:
        """Writes every acknowledgment whose turn has come; an empty one is for a sender that wants none."""
        self._flush_due = False
        transport = self._transport
        if transport is None:
            return
        written: list[bytes] = []
        unpersisted = False
        while self._waiting and self._waiting[0].ready and not unpersisted:
            acknowledgment = self._waiting.popleft().acknowledgment
            if acknowledgment is None:
                unpersisted = True
            elif acknowledgment:
                written += (b"\x0b", acknowledgment, b"\x1c\r")
        if written:
            transport.write(b"".join(written))
        if unpersisted:
            # What follows on this connection stays unanswered too: the client must see where the gap is.
            self._waiting.clear()
            self.end()
        else:
            self._take()

    def end(self) -> None:
        """Reads no more, answers what was taken, then closes."""
        if not self._ending:
            self._ending = True
            self._stalled_at = self._stalled_at or self._loop.time()
            self._discard()
        self._settle()

    def abort(self) -> None:
        """Closes at once, whatever is owed."""
        self._ending = True
        if self._transport is not None:
            self._transport.abort()

    def check_time(self, now: float) -> None:
        """Ends a connection whose client has been silent, or has not read, for too long."""
        stalled = self._stalled_at is not None and now - self._stalled_at > self._limits.stall_timeout_secs
        silent_secs = now - self._heard_at
        if stalled and (not self._writable or not self._waiting):
            self._warn("does not read its acknowledgments")
            self.abort()
        elif self._ending or self._waiting or not self._reading:
            return
        elif self.unfinished and silent_secs > self._limits.stall_timeout_secs:
            self._warn("fell silent inside a message")
            self.abort()
        elif silent_secs > self._limits.idle_timeout_secs:
            self.end()

    def _take(self) -> None:
        """Hands complete messages to the intake as long as there is room."""
        receiver = self._receiver
        drained = False
        try:
            while not self._ending and not drained and self._has_room():
                payload = self._decoder.next_frame()
                if payload is None:
                    drained = True
                else:
                    answer = _Answer(self, len(payload))
                    self._waiting.append(answer)
                    receiver.held(answer.size)
                    receiver.intake.submit(receiver.channel_name, self.peer, payload, answer)
        except FramingError as error:
            self._warn(f"is closed: {error.message}")
            self.end()
        except StorageError:
            self._waiting[-1](None)
        if not self._ending:
            receiver.unfinished(self, self._decoder.buffered)
            if drained and self._heard_all:
                if self.unfinished:
                    self._warn("left inside a message")
                self.end()
        self._settle()

    def _warn(self, what: str) -> None:
        _log.warning("channel %s: client %s %s", self._receiver.channel_name, self.peer, what)

    def _has_room(self) -> bool:
        return self._writable and len(self._waiting) < self._limits.max_unanswered and self._receiver.has_room(self)

    def _settle(self) -> None:
        """Reads, or does not, or closes, as the state asks."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._ending and not self._waiting:
            transport.close()
            return
        reading = not self._ending and self._has_room()
        if reading != self._reading:
            self._reading = reading
            self._heard_at = self._loop.time()
            (transport.resume_reading if reading else transport.pause_reading)()

    def _discard(self) -> None:
        self._decoder = MllpDecoder(self._limits.max_message_bytes)
        self._receiver.unfinished(self, 0)


def _keep_alive(transport: asyncio.Transport) -> None:
    """Lets the kernel notice a peer that vanished without a goodbye."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
