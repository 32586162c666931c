"""What is the SHA-256 of an arriving object? Worked out while it arrives.

The beginning is hashed as it comes, in the receive buffer that is still in the processor's cache: to read it back in
another thread would cost more than it frees. What goes on for long must not hold up other associations: the rest of a
large object is read back from the page cache and hashed beside the event loop, hashlib and the kernel let others run.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from engine.errors import StorageError
from pacs_gateway.segments.segment import Segment

AT_ONCE_BYTES = 1024 * 1024
"""The beginning of an object. Most objects that come in numbers are smaller."""
STEP_BYTES = 2 * 1024 * 1024
"""Handed to another thread together: each time costs as much as hashing 100 KB."""
BUFFER_BYTES = 1024 * 1024

_buffers = threading.local()


class Digest:
    """Hashes a stretch of a segment that grows from a place on; of several threads one at a time works on it."""

    def __init__(self, segment: Segment, start: int, pool: Executor) -> None:
        self._segment = segment
        self._pool = pool
        self._hash = hashlib.sha256()
        self._at_once_to = start + AT_ONCE_BYTES
        self._done_to = start
        self._turn = threading.Lock()
        self._job: asyncio.Future[None] | None = None

    def grown(self, pieces: Sequence[memoryview], to: int) -> None:
        """These were written into the stretch, which reaches to a place now."""
        if to <= self._at_once_to:
            for piece in pieces:
                self._hash.update(piece)
            self._done_to = to
        elif to - self._done_to >= STEP_BYTES and (self._job is None or self._job.done()):
            self._job = asyncio.get_running_loop().run_in_executor(self._pool, self._hash_to, to)
            self._job.add_done_callback(_seen)

    def whole(self, to: int) -> bytes:
        """Blocking. The digest of the whole stretch.

        Raises StorageError when the disk does not give back what it took.
        """
        try:
            self._hash_to(to)
        except OSError as error:
            raise StorageError(f"an object could not be read back: {error.strerror}") from error
        return self._hash.digest()

    def when_idle(self, then: Callable[[], None]) -> None:
        """Calls `then` once no thread of the pool reads from the segment for this object."""
        if self._job is None or self._job.done():
            then()
        else:
            self._job.add_done_callback(lambda _: then())

    def _hash_to(self, to: int) -> None:
        with self._turn:
            while self._done_to < to:
                buffer = _buffer()
                taken = self._segment.read(buffer[: to - self._done_to], self._done_to)
                if not taken:
                    raise OSError(errno.EIO, "the segment is shorter than what was written into it")
                self._hash.update(buffer[:taken])
                self._done_to += taken


def _seen(job: asyncio.Future[None]) -> None:
    """What failed here fails again in `whole`; an object that was abandoned has none to be told."""
    if not job.cancelled():
        job.exception()


def _buffer() -> memoryview:
    """A buffer of this thread."""
    try:
        view: memoryview = _buffers.view
    except AttributeError:
        view = _buffers.view = memoryview(bytearray(BUFFER_BYTES))
    return view
