"""Who hears that objects cannot leave the spool? A person, once it lasts: a finding, and by it an incident.

Each process of a channel has its spool and tells of that one: what one of them moves says nothing of the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import asyncpg

from engine.clock import Clock
from engine.store import object_troubles
from engine.store.database import FAILED, end_if_cancelled

TOLD_AFTER_SECS = 60.0
"""Of refusals: a store that is started again needs some seconds."""
SLOW_AFTER_SECS = 900.0
"""A store that takes objects may still take them more slowly than they come."""
TELL_TIMEOUT_SECS = 10.0

_log = logging.getLogger(__name__)


class Spooled(Protocol):
    """The spool of this process, once it is open, and the folders of those of whom it has taken over what they left."""

    @property
    def number(self) -> int: ...

    @property
    def taken_over(self) -> Sequence[str]: ...


class Waiting:
    """The trouble of one spool with the store, from its beginning until the spool is empty."""

    def __init__(self, pool: asyncpg.Pool, channel: str, spool: Spooled, clock: Clock) -> None:
        self._pool = pool
        self._channel = channel
        self._spool = spool
        self._clock = clock
        self._since: datetime | None = None
        self._told = True
        """Also what earlier processes may have told of what is ours now."""

    async def refused(self, why: str) -> None:
        """The store did not take an object."""
        self._since = self._since or self._clock()
        if self._clock() - self._since >= timedelta(seconds=TOLD_AFTER_SECS):
            await self._tell(why)

    async def moved(self, oldest_at: datetime) -> None:
        """The store takes objects; the oldest that still waits came at oldest_at."""
        if self._clock() - oldest_at >= timedelta(seconds=SLOW_AFTER_SECS):
            await self._tell("the object store takes them more slowly than they come")

    async def emptied(self) -> None:
        """Nothing waits any more."""
        self._since = None
        if self._told:
            try:
                async with asyncio.timeout(TELL_TIMEOUT_SECS), self._pool.acquire() as connection:
                    spools = [str(self._spool.number), *self._spool.taken_over]
                    await object_troubles.objects_move_again(connection, self._channel, spools, self._clock())
            except FAILED as error:
                end_if_cancelled()
                _log.warning("channel %s: the end of a trouble is told later: %s", self._channel, type(error).__name__)
            else:
                self._told = False

    async def _tell(self, why: str) -> None:
        self._told = True
        try:
            async with asyncio.timeout(TELL_TIMEOUT_SECS), self._pool.acquire() as connection:
                number = self._spool.number
                await object_troubles.objects_wait(connection, self._channel, number, why, self._clock())
        except FAILED as error:
            end_if_cancelled()
            _log.warning("channel %s: a trouble is told later: %s", self._channel, type(error).__name__)
