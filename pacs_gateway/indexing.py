"""When is an object in the index? Soon after its answer, its row in one commit with those that came meanwhile.

Senders go first: while objects keep coming, hashes and rows wait for a second, or for so many bytes. An object that was
answered 0000 gets its row whatever happens: while the database is away rows wait, and what a process that ends leaves
without one is found in the spool by the next. Other processes of the channel see there what has none yet (`lying`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import asyncpg

from engine.clock import Clock
from engine.errors import StorageError
from engine.store import imaging, object_troubles
from engine.store.database import FAILED, end_if_cancelled
from engine.store.imaging import Instance
from pacs_gateway.background import Background
from pacs_gateway.hashing import Hashing
from pacs_gateway.receiving import Kept
from pacs_gateway.rows import Indexed, tell_of, with_rows
from pacs_gateway.segments.segment import Segment

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

_OF_A_ROW = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What the database says of what is to be written, whoever asks it and whenever."""

_log = logging.getLogger(__name__)


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
        self._damaged: list[Kept] = []
        self._unindexed: list[Kept] = []
        """Both were answered and wait for no row any more; a person has not been told of them yet."""
        self._done = 0
        self._failures = 0
        self._arrived = asyncio.Event()
        self._asked_for = asyncio.Event()
        """Somebody waits for rows."""
        self._tried = asyncio.Condition()
        """Of every commit, whatever came of it."""
        self._background = Background(f"dicom index {channel}")
        self._runs = False

    @property
    def is_behind(self) -> bool:
        return len(self._waiting) >= WAITING_LIMIT

    @property
    def _is_idle(self) -> bool:
        """Whether every object has its row, or a person has been told that it has none."""
        return not (self._waiting or self._damaged or self._unindexed)

    @property
    def _added(self) -> int:
        return self._done + len(self._waiting)

    @property
    def _waiting_bytes(self) -> int:
        return sum(kept.head.length for kept in self._waiting)

    def start(self) -> None:
        self._runs = True
        self._background.start(self._run)

    async def close(self) -> None:
        """Commits what is queued within a grace period, then stops."""
        if not self._runs:
            return
        try:
            async with asyncio.timeout(CLOSE_SECS), self._tried:
                await self._tried.wait_for(lambda: self._is_idle)
        except TimeoutError:
            _log.warning("channel %s: objects wait in the spool for their index rows", self._channel)
        await self._background.close()
        self._runs = False
        await self._tell()

    async def settled(self) -> bool:
        """Waits for the rows of what was added until now, and no longer for a database that is away.

        Whether they are there; but one that gets no row at all is not waited for.
        """
        added, failures = self._added, self._failures
        if self._waiting:
            self._asked_for.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECS), self._tried:
                await self._tried.wait_for(lambda: self._done >= added or self._failures > failures or not self._runs)
        return self._done >= added

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

    async def commit(self, found: Sequence[Kept], damaged: Sequence[Kept]) -> list[Indexed]:
        """Adds rows of objects that an earlier process left; those that have one now. Raises StorageError.

        A person hears of those that get none, and of damaged ones: they were answered, and are not what they were.
        """
        self._damaged += damaged
        try:
            committed = await self._record_all(found)
            await self._raise_troubles()
            if committed:
                await self._settle_troubles(committed)
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the index cannot be completed: {type(error).__name__}") from error
        return committed

    async def tell_of_damaged(self, segments: Sequence[Segment]) -> None:
        """A person hears of files in which objects are lost that were answered. Raises StorageError."""
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_SECS), self._pool.acquire() as connection:
                names = [segment.path.name for segment in segments]
                await object_troubles.segments_are_damaged(connection, self._channel, names, self._clock())
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"a damaged spool cannot be told of: {type(error).__name__}") from error

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await self._until_lull()
            due = self._added
            while self._done < due or self._damaged or self._unindexed:
                await self._commit_next()
            if self._is_idle:
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
        """Commits rows of the oldest that wait, and tells of what has none; when the database says no, they wait on."""
        batch = await self._next()
        try:
            await self._raise_troubles()
            committed = await self._record_all(batch)
        except FAILED as error:
            end_if_cancelled()
            _log.warning("channel %s: objects wait for the index: %s", self._channel, type(error).__name__)
            self._failures += 1
            await self._tell()
            await asyncio.sleep(RETRY_SECS)
            return
        del self._waiting[: len(batch)]
        self._done += len(batch)
        if committed:
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
        self._damaged += _without(self._waiting[:count], batch)
        self._waiting[:count] = batch
        self._done += count - len(batch)
        return batch

    async def _raise_troubles(self) -> None:
        for objects, code in ((self._damaged, object_troubles.DAMAGED), (self._unindexed, object_troubles.UNINDEXED)):
            if objects:
                async with asyncio.timeout(COMMIT_TIMEOUT_SECS), self._pool.acquire() as connection:
                    uids = [kept.head.sop_uid for kept in objects]
                    await object_troubles.objects_are(connection, code, self._channel, uids, self._clock())
                for kept in objects:
                    _give_up(kept)
                objects.clear()

    async def _settle_troubles(self, committed: Sequence[Indexed]) -> None:
        async with asyncio.timeout(COMMIT_TIMEOUT_SECS), self._pool.acquire() as connection:
            uids = [one.row.sop_uid for one in committed]
            await object_troubles.objects_are_indexed(connection, uids, self._clock())

    async def _tell(self) -> None:
        async with self._tried:
            self._tried.notify_all()

    async def _record_all(self, batch: Sequence[Kept]) -> list[Indexed]:
        """Those that have a row now; the others never get one from this process."""
        rows, impossible = with_rows(batch)
        committed = await self._record(rows)
        refused = _without([one.kept for one in rows], [one.kept for one in committed])
        self._unindexed += impossible + refused
        return committed

    async def _record(self, batch: Sequence[Indexed]) -> list[Indexed]:
        """Commits rows together, or, when one of them cannot be written at all, without that one."""
        if not batch:
            return []
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_SECS):
                await self._commit(batch)
        except _OF_A_ROW as error:
            return await self._record_apart(batch, error)
        except FAILED:
            raise
        except Exception as error:  # noqa: BLE001 - a text that nobody foresaw; it is looked for among the others
            return await self._record_apart(batch, error)
        return list(batch)

    async def _record_apart(self, batch: Sequence[Indexed], error: Exception) -> list[Indexed]:
        if len(batch) == 1:
            tell_of(error)
            return []
        half = len(batch) // 2
        return await self._record(batch[:half]) + await self._record(batch[half:])

    async def _commit(self, batch: Sequence[Indexed]) -> None:
        rows = [indexed.row for indexed in batch]
        try:
            await self._write(rows)
        except asyncpg.UniqueViolationError:  # another process has just written one of them, and it is known by now
            await self._write(rows)

    async def _write(self, rows: Sequence[Instance]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await imaging.record(connection, self._channel, rows)


def _without(all_of_them: Sequence[Kept], some: Sequence[Kept]) -> list[Kept]:
    there = {(kept.segment, kept.head.place) for kept in some}
    return [kept for kept in all_of_them if (kept.segment, kept.head.place) not in there]


def _give_up(kept: Kept) -> None:
    """Nobody waits for its row any more, whatever process they are of; until the next start tries it again."""
    try:
        kept.segment.give_up(kept.head)
    except StorageError as error:
        _log.error("who asks to keep an object that gets no row waits for it: %s", error.message)
