"""Who waits for the disk? A thread; for a short object that arrives alone, while the disk is quick, the loop itself.

Handing an object to a thread and back takes longer than the flush of 0.5 MB on a quick disk, and a sender with one
association waits for both, object by object.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor

from engine.errors import StorageError
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment

FLUSHES = 8
"""At once; the kernel asks the device once for all that wait."""
QUICK_SECS = 0.002
"""The disk is quick when its last flush took no longer. The loop is held longer once, not twice."""
SHORT_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)


class Flushing:
    """The threads that flush, for one channel."""

    def __init__(self, channel: str) -> None:
        self._threads = ThreadPoolExecutor(FLUSHES, f"dicom flush {channel}")
        self._last_took_secs = math.inf

    async def flush(self, segment: Segment, head: Head, *, alone: bool) -> None:
        """On return an object whose bytes are written is durable. Raises StorageError; then nothing of it can be found.

        alone  no other object is arriving
        """
        if alone and head.length <= SHORT_BYTES and self._last_took_secs <= QUICK_SECS:
            self._settle(segment, head)
        else:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._settle, segment, head)

    async def close(self) -> None:
        """What is being flushed is finished before."""
        await asyncio.to_thread(self._threads.shutdown)

    def _settle(self, segment: Segment, head: Head) -> None:
        """Blocking."""
        try:
            segment.seal(head)
            begun = time.monotonic()
            segment.flush()
            self._last_took_secs = time.monotonic() - begun
            segment.name(head)
        except StorageError as error:
            self._last_took_secs = math.inf
            _log.error("the spool did not take an object: %s", error.message)
            segment.strike(head)
            raise
