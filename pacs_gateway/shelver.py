"""What becomes of objects in the spool? Those with an index row move to the store, those without are swept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import asyncpg

from engine.errors import StorageError
from engine.store import imaging
from engine.store.database import FAILED
from pacs_gateway.spool import Key, Spool

RETRY_SECS = 5.0
"""After the store or the database said no."""
ANSWER_TIMEOUT_SECS = 60.0

_log = logging.getLogger(__name__)


class Shelver:
    """Empties one spool, outside of any association."""

    def __init__(self, pool: asyncpg.Pool, spool: Spool) -> None:
        self._pool = pool
        self._spool = spool
        self._queue: asyncio.Queue[tuple[Key, bool]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def sweep(self) -> None:
        """Settles what an earlier process left. Raises StorageError when the database cannot be asked."""
        for key in await asyncio.to_thread(self._spool.leftovers):
            await self._settle(key)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="dicom shelver")

    async def close(self) -> None:
        """What is still queued stays in the spool, readable, for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def shelve(self, keys: Iterable[Key]) -> None:
        """Queues objects whose rows are committed."""
        for key in keys:
            self._queue.put_nowait((key, True))

    def settle(self, key: Key) -> None:
        """Queues an object whose row may or may not be there."""
        self._queue.put_nowait((key, False))

    async def _run(self) -> None:
        while True:
            key, indexed = await self._queue.get()
            try:
                await (self._shelve(key) if indexed else self._settle(key))
            except StorageError as error:
                _log.warning("objects stay in the spool: %s", error.message)
                self._queue.put_nowait((key, indexed))
                await asyncio.sleep(RETRY_SECS)

    async def _shelve(self, key: Key) -> None:
        await asyncio.to_thread(self._spool.shelve, key)

    async def _settle(self, key: Key) -> None:
        loop = asyncio.get_running_loop()

        def settle() -> None:
            with self._spool.turn(key):
                indexed = asyncio.run_coroutine_threadsafe(self._is_indexed(key), loop).result(ANSWER_TIMEOUT_SECS)
                if indexed:
                    self._spool.shelve(key)
                else:
                    self._spool.discard(key)

        await asyncio.to_thread(settle)

    async def _is_indexed(self, key: Key) -> bool:
        try:
            async with self._pool.acquire() as connection:
                return await imaging.is_indexed(connection, key.facility, key.study_uid, key.sha256)
        except FAILED as error:
            raise StorageError(f"the index cannot be asked: {type(error).__name__}") from error
