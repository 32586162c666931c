"""Who hears that an object is gone? A person: it becomes a finding of its study, once, and an incident."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import asyncpg

from engine.clock import Clock
from engine.errors import HutongError
from engine.store import object_troubles
from engine.store.database import FAILED, end_if_cancelled

_MOST_TOLD = 10_000
"""Locations that are remembered: a store that lost more than these needs no longer list."""

_log = logging.getLogger(__name__)


class Missing:
    """To be made on the event loop; `told` may be called from every thread."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._known: set[str] = set()
        self._telling: set[asyncio.Task[None]] = set()

    def told(self, location: str) -> None:
        """Nothing is at a location of the index any more."""
        with suppress(RuntimeError):  # the loop has ended: whoever asks next finds it out again
            self._loop.call_soon_threadsafe(self._begin, location)

    def _begin(self, location: str) -> None:
        if location in self._known or len(self._known) >= _MOST_TOLD:
            return
        self._known.add(location)
        task = asyncio.create_task(self._tell(location), name="missing object")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, location: str) -> None:
        _log.error("an object that is in the index is not in the store any more")
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await object_troubles.object_is_missing(connection, location, self._clock())
        except (*FAILED, HutongError) as error:
            end_if_cancelled()
            _log.warning("a missing object could not be told of: %s", type(error).__name__)
            self._known.discard(location)
