"""When is an object in the index? Soon after its answer, its row in one commit with those that came meanwhile.

Senders go first: while objects keep coming, hashes and rows wait for a second, or for so many bytes. An object that was
answered 0000 gets its row whatever happens: while the database is away rows wait, and what a process that ends leaves
without one is found in the spool by the next.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from engine.clock import Clock
from engine.codecs.text import UTF_8
from engine.errors import StorageError
from engine.store import imaging, object_troubles
from engine.store.database import FAILED, end_if_cancelled
from engine.store.imaging import Instance
from engine.store.statements import location_of
from pacs_gateway.charset import UNICODE
from pacs_gateway.hashing import Hashing
from pacs_gateway.identify import identity_of
from pacs_gateway.location import location
from pacs_gateway.receiving import Kept
from pacs_gateway.segments.record import Head

BATCH_LIMIT = 256
"""Rows of one transaction."""
BATCH_BYTES = 64 * 1024 * 1024
"""Hashed before the first of them has its row."""
WAITING_LIMIT = 10_000
"""Objects without a row, at some kilobytes of memory each. The next ones are refused until the database is back."""
LULL_SECS = 0.05
"""Without a new object, and senders have paused: no sender waits for this, and a row alone costs ten times one among
sixteen."""
SENDERS_FIRST_SECS = 1.0
"""Rows wait no longer for a pause, however long senders go on."""
SENDERS_FIRST_BYTES = 256 * 1024 * 1024
"""Nor with more than this waiting, which must still be in the page cache when it is hashed."""
COMMIT_TIMEOUT_SECS = 30.0
RETRY_SECS = 1.0
SETTLE_SECS = 30.0
"""Waited at most for rows by who is told of them at once; a database that is away is waited for until it fails."""
CLOSE_SECS = 5.0
"""Waited for rows when the gateway ends; what has none then gets it at the next start."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Indexed:
    """An object and its row."""

    kept: Kept
    row: Instance


class Index:
    """The index of one channel. `on_committed` is told of objects whose rows are there."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        channel: str,
        hashing: Hashing,
        clock: Clock,
        on_committed: Callable[[Sequence[Indexed]], None],
    ) -> None:
        self._pool = pool
        self._channel = channel
        self._hashing = hashing
        self._clock = clock
        self._on_committed = on_committed
        self._waiting: list[Kept] = []
        self._damaged: list[Head] = []
        self._done = 0
        self._failures = 0
        self._arrived = asyncio.Event()
        self._asked_for = asyncio.Event()
        """Somebody waits for rows."""
        self._tried = asyncio.Condition()
        """Of every commit, whatever came of it."""
        self._task: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        return len(self._waiting) >= WAITING_LIMIT

    @property
    def _added(self) -> int:
        return self._done + len(self._waiting)

    @property
    def _waiting_bytes(self) -> int:
        return sum(kept.head.length for kept in self._waiting)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"dicom index {self._channel}")

    async def close(self) -> None:
        """Commits what is queued within a grace period, then stops."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECS), self._tried:
                await self._tried.wait_for(lambda: not self._waiting)
        except TimeoutError:
            _log.warning("channel %s: objects wait in the spool for their index rows", self._channel)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        await self._tell()

    async def settled(self) -> None:
        """Waits for the rows of what was added until now, and no longer for a database that is away."""
        added, failures = self._added, self._failures
        if self._waiting:
            self._asked_for.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECS), self._tried:
                await self._tried.wait_for(
                    lambda: self._done >= added or self._failures > failures or self._task is None
                )

    def add(self, kept: Kept) -> None:
        """Queues an object's row, which is made when it is written: a sender waits meanwhile."""
        self._waiting.append(kept)
        self._arrived.set()

    async def known(self, contents: Sequence[tuple[str, str, bytes]]) -> dict[tuple[str, str, bytes], Instance]:
        """The rows that are there, of (SOP Instance UID, facility, SHA-256). Raises StorageError."""
        try:
            async with self._pool.acquire() as connection:
                rows = await imaging.known_instances(connection, contents)
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the index cannot be read: {type(error).__name__}") from error
        return {(row.sop_uid, row.facility, row.sha256): row for row in rows}

    async def commit(self, found: Sequence[Indexed]) -> list[Indexed]:
        """Adds rows of objects that an earlier process left; those that have one now. Raises StorageError."""
        try:
            return await self._record(found)
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the index cannot be completed: {type(error).__name__}") from error

    async def tell_damaged(self, heads: Sequence[Head]) -> None:
        """A person hears of objects that were answered and are not what they were. Raises StorageError."""
        try:
            await self._raise_damaged(heads)
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"damaged objects cannot be told of: {type(error).__name__}") from error

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await self._until_lull()
            due = self._added
            while self._done < due:
                await self._commit_next()
            if not self._waiting:
                self._arrived.clear()

    async def _until_lull(self) -> None:
        """Returns when senders pause, when enough has waited for that, or when somebody asks for the rows."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + SENDERS_FIRST_SECS
        added = -1
        while (
            added != self._added
            and self._waiting_bytes < SENDERS_FIRST_BYTES
            and (left_secs := latest - loop.time()) > 0
            and not self._asked_for.is_set()
        ):
            added = self._added
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LULL_SECS, left_secs)):
                    await self._asked_for.wait()
        self._asked_for.clear()

    async def _commit_next(self) -> None:
        """Commits rows of the oldest that wait; when the database says no, they wait on."""
        batch = [Indexed(kept, row_of(kept)) for kept in await self._next()]
        try:
            await self._raise_damaged(self._damaged)
            self._damaged.clear()
            committed = await self._record(batch)
        except FAILED as error:
            end_if_cancelled()
            _log.warning("channel %s: objects wait for the index: %s", self._channel, type(error).__name__)
            self._failures += 1
            await self._tell()
            await asyncio.sleep(RETRY_SECS)
            return
        del self._waiting[: len(batch)]
        self._done += len(batch)
        self._on_committed(committed)
        await self._tell()

    async def _next(self) -> list[Kept]:
        """The oldest that wait, with their hashes, which stay with them should they wait on."""
        count, size = 0, 0
        for kept in self._waiting[:BATCH_LIMIT]:
            size += kept.head.length
            if count and size > BATCH_BYTES:
                break
            count += 1
        batch = await self._hashing.hashed(self._waiting[:count])
        there = {(kept.segment, kept.head.place) for kept in batch}
        self._damaged += [kept.head for kept in self._waiting[:count] if (kept.segment, kept.head.place) not in there]
        self._waiting[:count] = batch
        self._done += count - len(batch)
        return batch

    async def _raise_damaged(self, heads: Sequence[Head]) -> None:
        if not heads:
            return
        async with asyncio.timeout(COMMIT_TIMEOUT_SECS), self._pool.acquire() as connection:
            uids = [head.sop_uid for head in heads]
            await object_troubles.objects_are_damaged(connection, self._channel, uids, self._clock())

    async def _tell(self) -> None:
        async with self._tried:
            self._tried.notify_all()

    async def _record(self, batch: Sequence[Indexed]) -> list[Indexed]:
        """Commits rows together, or, when one of them cannot be written at all, without that one."""
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_SECS):
                await self._commit(batch)
        except (asyncpg.DataError, ValueError) as error:  # ValueError: it cannot even be sent
            if len(batch) == 1:
                _log.error("an object stays in the spool, its row cannot be written: %s", type(error).__name__)
                return []
            half = len(batch) // 2
            return await self._record(batch[:half]) + await self._record(batch[half:])
        return list(batch)

    async def _commit(self, batch: Sequence[Indexed]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await imaging.record(connection, self._channel, [indexed.row for indexed in batch])


def row_of(kept: Kept) -> Instance:
    """The index row of an object."""
    head, identity = kept.head, identity_of(kept.raw)
    found = identity.charset
    said: dict[str, Any] = {"declared": found.declared, "used": found.used}
    charset = {
        **said,
        "doubtful": found.doubtful,
        "findings": {finding.code: finding.text for finding in identity.findings},
    }
    key = location(head.facility, identity.study_uid, head.sha256)
    if found.repair:
        charset |= {"declared": UNICODE, "used": UTF_8, "sent": said}
        key = location_of(key, {}, UTF_8, read_as=found.used)
    return Instance(
        sop_uid=identity.sop_uid,
        facility=head.facility,
        sha256=head.sha256,
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        sop_class=identity.sop_class,
        transfer_syntax=head.transfer_syntax,
        modality=identity.modality,
        number=identity.number,
        bytes=head.length,
        location=key,
        tags=json.dumps(identity.tags, ensure_ascii=False),
        charset=json.dumps(charset, ensure_ascii=False),
        peer=head.peer,
        stored_at=kept.received_at,
    )
