"""Who settles what a process took that has ended? The next of its number when it starts, or another that looks by."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial
from operator import attrgetter

import asyncpg

from engine.errors import HutongError, StorageError
from engine.store import commitments
from engine.store.commitments import Taken
from engine.store.database import FAILED, end_if_cancelled
from pacs_gateway.background import Background
from pacs_gateway.presence import Presence

LOOK_SECS = 5.0
"""Between two looks: by index, and mostly there is nothing."""

_log = logging.getLogger(__name__)

Begin = Callable[[Taken], None]
"""Settles a request from now on."""


class TakingOver:
    """Takes over requests for storage commitment of one channel, from its start to its end.

    under_way  what this process is settling
    """

    def __init__(
        self, channel: str, pool: asyncpg.Pool, presence: Presence, under_way: Callable[[], Collection[Taken]]
    ) -> None:
        self._channel = channel
        self._pool = pool
        self._presence = presence
        self._under_way = under_way
        self._not_begun: set[Taken] = set()
        """At the last look: ours, and not under way."""
        self._background = Background(f"commitments of others {channel}")

    async def start(self, number: int, begin: Begin) -> None:
        """As the process of this number, before it takes any request itself. Raises StorageError."""
        await asyncio.to_thread(self._presence.begin, number)
        try:
            await self._take_over(number, begin, {number})
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"commitments cannot be read: {type(error).__name__}") from error
        self._background.start(partial(self._look, number, begin))

    async def close(self) -> None:
        await self._background.close()

    async def _look(self, number: int, begin: Begin) -> None:
        while True:
            await asyncio.sleep(LOOK_SECS)
            try:
                await self._take_over(number, begin, set())
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("channel %s: what others took is looked at later: %s", self._channel, type(error).__name__)

    async def _take_over(self, number: int, begin: Begin, ended: set[int]) -> None:
        """From processes that have ended: these, and those that are found to have; and what we took ourselves without
        having heard that we did, because the connection to the database was lost just then.

        Whoever took a request held its lock before that: where the lock is free *after* the request was read, that
        process lives no more. And nobody takes a request in between unseen, because it is counted how often it was.
        """
        async with self._pool.acquire() as connection:
            unsettled = await commitments.unsettled(connection, self._channel)
        others = {one.process for one in unsettled if one.process is not None} - {number}
        if others:
            ended = ended | await asyncio.to_thread(self._presence.ended, others)
        left = {one.taken for one in unsettled if one.process is None or one.process in ended}
        not_begun = {one.taken for one in unsettled if one.process == number} - set(self._under_way())
        left |= not_begun & self._not_begun
        self._not_begun = not_begun
        if left:
            async with self._pool.acquire() as connection:
                taken = await commitments.take_over(connection, sorted(left, key=attrgetter("id")), number)
            for one in taken:
                begin(one)
