"""Who answers queries? The index in the database, and the objects for what it does not know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import TypeVar

import asyncpg
from pydicom.dataset import Dataset

from engine.errors import StorageError
from engine.store import imaging_search
from engine.store.database import FAILED, Connection, end_if_cancelled
from engine.store.imaging_query import Content, Found, ImagingQuery, Key, Level
from pacs_gateway.location import Objects
from pacs_gateway.query.heads import head_of

QUERY_TIMEOUT_SECS = 30.0
PAGE = 100
"""Matches that are held at once; of the others only their keys."""

_T = TypeVar("_T")


class Archive:
    """What is stored, as queries see it. Its methods raise StorageError."""

    def __init__(self, pool: asyncpg.Pool, objects: Objects) -> None:
        self._pool = pool
        self.objects = objects

    async def keys(self, query: ImagingQuery, limit: int) -> list[Key]:
        return await self._asked(lambda connection: imaging_search.find_keys(connection, query, limit=limit))

    async def kinds(self, query: ImagingQuery) -> list[tuple[str, str]]:
        """The SOP classes and transfer syntaxes of the instances that match."""
        return await self._asked(lambda connection: imaging_search.kinds(connection, query))

    async def pages(self, level: Level, keys: Sequence[Key]) -> AsyncIterator[list[Found]]:
        """What is known of matches, some at a time; the database is not kept waiting for whoever takes them."""
        for at in range(0, len(keys), PAGE):
            page = keys[at : at + PAGE]
            yield await self._asked(partial(_read, level, page))

    async def heads(self, contents: Sequence[Content], tags: Collection[int]) -> list[Dataset]:
        """What objects say of themselves, in the same order."""
        return await asyncio.to_thread(lambda: [head_of(self.objects, content, tags) for content in contents])

    async def _asked(self, ask: Callable[[Connection], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_SECS), self._pool.acquire() as connection:
                return await ask(connection)
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the index cannot be read: {type(error).__name__}") from error


async def _read(level: Level, keys: Sequence[Key], connection: Connection) -> list[Found]:
    return await imaging_search.read(connection, level, keys)
