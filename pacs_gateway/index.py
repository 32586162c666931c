"""When is an object in the index? Rows that queue while one commit runs share the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import asyncpg

from engine.errors import StorageError
from engine.store import imaging
from engine.store.database import FAILED, end_if_cancelled
from engine.store.imaging import Instance, Standing

BATCH_LIMIT = 256
"""Rows of one transaction: more would make the first sender wait for the last one's rows."""

COMMIT_TIMEOUT_SECS = 30.0
"""A sender waits about a minute for its answer; a database that takes this long is as good as gone."""

_Waiting = tuple[Instance, asyncio.Future[Standing]]


class Index:
    """The index of one channel; `add` returns once the row's commit has."""

    def __init__(self, pool: asyncpg.Pool, channel: str, on_committed: Callable[[Sequence[Instance]], None]) -> None:
        self._pool = pool
        self._channel = channel
        self._on_committed = on_committed
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"dicom index {self._channel}")

    async def close(self) -> None:
        """Commits what is queued, then stops."""
        if self._task is None:
            return
        while self._waiting:
            await asyncio.wait([future for _, future in self._waiting])
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def add(self, instance: Instance) -> Standing:
        """Adds one row.

        Raises StorageError when the commit failed; whether it reached the database is then unknown.
        """
        if self._task is None or self._task.done():
            raise StorageError("the index does not run")
        future: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self._waiting.append((instance, future))
        self._arrived.set()
        return await future

    async def _run(self) -> None:
        try:
            while True:
                await self._arrived.wait()
                await self._settle(self._waiting[:BATCH_LIMIT])
        finally:
            _answer(self._waiting, StorageError("the index has stopped"))
            self._waiting.clear()

    async def _settle(self, batch: Sequence[_Waiting]) -> None:
        instances = [instance for instance, _ in batch]
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_SECS):
                standings = await self._commit(instances)
        except FAILED as error:
            end_if_cancelled()
            self._leave(batch, StorageError(f"the index did not commit: {type(error).__name__}"))
        else:
            self._leave(batch, standings)
            self._on_committed(instances)

    def _leave(self, batch: Sequence[_Waiting], outcome: Sequence[Standing] | StorageError) -> None:
        del self._waiting[: len(batch)]
        if not self._waiting:
            self._arrived.clear()
        _answer(batch, outcome)

    async def _commit(self, instances: Sequence[Instance]) -> list[Standing]:
        async with self._pool.acquire() as connection, connection.transaction():
            return await imaging.record(connection, self._channel, instances)


def _answer(batch: Sequence[_Waiting], outcome: Sequence[Standing] | StorageError) -> None:
    for number, (_, future) in enumerate(batch):
        if future.done():
            continue  # whoever waited for it has gone
        if isinstance(outcome, StorageError):
            future.set_exception(StorageError(outcome.message))
        else:
            future.set_result(outcome[number])
