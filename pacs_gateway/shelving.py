"""When does an object leave the spool? Once it is indexed and stands verified in the store; while nobody sends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

from engine.errors import HutongError
from engine.ports import Finished, ObjectStore
from pacs_gateway.background import Background, places_of
from pacs_gateway.finished import finished
from pacs_gateway.rows import Indexed
from pacs_gateway.segments.spool import Spool
from pacs_gateway.waiting import Waiting

QUIET_SECS = 0.25
"""Senders go first: copying takes from the same disk."""
PRESSURE_BYTES = 512 * 1024 * 1024
"""With this much in the spool, objects are moved whether somebody sends or not, while they are in the page cache."""
BATCH_LIMIT = 16
RETRY_SECS = 5.0
"""After the store said no."""
READ_SECS = 1.0
"""Between two looks whether an object that has been moved is still read where it was."""

_log = logging.getLogger(__name__)


class Shelver:
    """Empties one spool into an object store, outside of any association."""

    def __init__(self, spool: Spool, waiting: Waiting) -> None:
        self._spool = spool
        self._waiting = waiting
        self._queue: deque[Indexed] = deque()
        self._arrived = asyncio.Event()
        self._last_at = 0.0
        self._background = Background("dicom shelver")

    def start(self, store: ObjectStore) -> None:
        self._background.start(partial(self._run, store))

    async def close(self) -> None:
        """What is still queued stays in the spool, readable, for the next start."""
        await self._background.close()

    def shelve(self, objects: Iterable[Indexed]) -> None:
        """Queues objects whose rows are committed."""
        self._queue.extend(objects)
        self._last_at = asyncio.get_running_loop().time()
        self._arrived.set()

    async def _run(self, store: ObjectStore) -> None:
        at_once = BATCH_LIMIT
        while True:
            await self._next()
            await self._quiet()
            batch = list(islice(self._queue, at_once))
            try:
                await asyncio.to_thread(store.put, _distinct(batch))
            except Exception as error:  # noqa: BLE001 - whatever a store does to us, a person has to hear of it
                why = _why(error)
                _log.warning("objects stay in the spool: %s", why)
                self._spool.drop_spare()  # where spool and store share a full disk, this is the room that is needed
                self._queue.rotate(-len(batch))  # one that cannot be moved does not hold back the others
                at_once = 1
                await self._waiting.refused(why)
                await asyncio.sleep(RETRY_SECS)
                continue
            at_once = BATCH_LIMIT
            for one in batch:
                self._queue.popleft()
                self._spool.release(one.kept.segment)
            if not self._queue:
                self._arrived.clear()
                await self._waiting.emptied()
            else:
                await self._waiting.moved(self._queue[0].kept.received_at)

    async def _next(self) -> None:
        """Returns when there is something to move; until then, what was read to its end is used again."""
        while self._spool.is_read and not self._arrived.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(READ_SECS):
                    await self._arrived.wait()
            self._spool.use_what_was_read()
        await self._arrived.wait()

    async def _quiet(self) -> None:
        """Returns while nothing arrives, or when too much has arrived to wait any longer."""
        loop = asyncio.get_running_loop()
        while True:
            wait_secs = self._last_at + QUIET_SECS - loop.time()
            if wait_secs <= 0 or self._spool.kept_bytes >= PRESSURE_BYTES:
                return
            await asyncio.sleep(wait_secs)


def _distinct(batch: Sequence[Indexed]) -> list[Finished]:
    """Each once: what came twice is one object, and goes to one place."""
    return list({one.key: one for one in map(finished, batch)}.values())


def _why(error: Exception) -> str:
    """What a person is told: nothing that an unexpected error may quote. The log says where that one was raised."""
    if isinstance(error, HutongError):
        return error.message
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    _log.error("the store broke: %s", places_of(error))
    return type(error).__name__
