"""Is what somebody asks us to keep for good really here? Storage commitment: looked for, read, hashed, reported."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import asyncpg
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.clock import Clock
from engine.errors import DeliveryError, HutongError, NotFoundError
from engine.finding import Finding
from engine.identifiers import title_of
from engine.store import commitments, findings, imaging, notifications, outbox
from engine.store.announcements import Announced, Source, announce
from engine.store.commitments import KEPT, Commitment, Named, Taken
from engine.store.database import FAILED, Connection, end_if_cancelled
from engine.store.findings import Raised
from engine.store.imaging import Instance
from engine.store.imaging_query import Content
from engine.store.notifications import Notification, Operation, Owed
from engine.store.outbox import Due
from engine.store.statements import as_sent
from engine.studies import study_id
from pacs_gateway import status
from pacs_gateway.background import keep_on
from pacs_gateway.heard import Answer
from pacs_gateway.presence import Presence
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.identifier import encoded
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.scp.service import Line
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.taking_over import TakingOver
from pacs_gateway.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import Element

COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Every request for commitment is addressed to it (PS3.4 annex J)."""
ALL_KEPT, SOME_FAILED = 1, 2
"""Event types of the result (PS3.4 J.3.3.1)."""

ANSWER_SECS = 20.0
"""For the answer to a result over the association of the request; then it is sent over one of our own."""
GRACE_SECS = 30.0
"""Before that is done although the other way has not ended: a process may have died meanwhile."""
FIRST_WAIT_SECS = 0.1
"""For an object on its way into the index; then twice as long each time."""
RETRY_SECS = 5.0
"""Between two tries, at most."""

_log = logging.getLogger(__name__)


class Kept(Protocol):
    """What this process keeps, and what all of them have answered."""

    @property
    def number(self) -> int: ...

    async def settled(self) -> bool: ...

    async def lying(self, facility: str, sop_uids: Collection[str]) -> set[str]: ...


class Committer:
    """Settles the requests of one channel that this process took, and what processes took that live no more.

    A request that was taken is settled, whatever happens to this process.

    reachable  destinations that are called with a result when the association of the request has ended
    on_owed    called when somebody is owed a result
    """

    def __init__(
        self,
        channel: str,
        pool: asyncpg.Pool,
        archive: Archive,
        clock: Clock,
        reachable: Collection[str],
        keeping: Kept,
        on_owed: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._pool = pool
        self._archive = archive
        self._clock = clock
        self._reachable = reachable
        self._keeping = keeping
        self._presence = Presence(archive.objects.folder, channel)
        self._on_owed = on_owed
        self._tasks: dict[asyncio.Task[None], Taken] = {}
        self._taking_over = TakingOver(channel, pool, self._presence, self._tasks.values)

    @property
    def process(self) -> int:
        """Which of the channel's processes we are."""
        return self._keeping.number

    async def start(self) -> None:
        """Goes on with what earlier processes took. To be called before anything is taken. Raises StorageError."""
        await self._taking_over.start(self.process, lambda taken: self.begin(taken, None))

    async def close(self) -> None:
        """What is not settled yet is left to the other processes, or to the next start."""
        await self._taking_over.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._presence.end()

    def begin(self, taken: Taken, line: Line | None) -> None:
        """Settles a request that is durable; `line` leads to whoever asked, for as long as it does."""
        name = f"commitment {self._channel}"
        task = asyncio.create_task(keep_on(name, partial(self._run, taken, line)), name=name)
        self._tasks[task] = taken
        task.add_done_callback(self._tasks.pop)

    async def _run(self, taken: Taken, line: Line | None) -> None:
        wait_secs = min(FIRST_WAIT_SECS, RETRY_SECS)
        while True:
            try:
                if await self._settle(taken, line):
                    return
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("channel %s: a commitment waits: %s", self._channel, type(error).__name__)
            await asyncio.sleep(wait_secs)
            wait_secs = min(2 * wait_secs, RETRY_SECS)

    async def _settle(self, taken: Taken, line: Line | None) -> bool:
        """Whether nothing is left to be done; False while an object is on its way into the index."""
        await self._keeping.settled()
        async with self._pool.acquire() as connection:
            if not await commitments.waits(connection, taken):
                return True
            commitment = await commitments.find(connection, taken.id)
        rows = await self._rows(commitment)
        if missing := _missing(commitment, rows):
            lying = await self._keeping.lying(commitment.facility, missing)
            rows = await self._rows(commitment)  # what has left a spool meanwhile has its row
            if lying & _missing(commitment, rows):
                return False
        outcomes = await self._outcomes(commitment, rows)
        kind, report = result_of(commitment, outcomes)
        message = Notification(
            Operation.EVENT_REPORT, COMMITMENT, WELL_KNOWN_INSTANCE, IMPLICIT_VR_LITTLE_ENDIAN, report, kind
        )
        owed = Owed(
            commitment.other, message, commitment.transaction_uid, _study_of(commitment, rows), "storage-commitment"
        )
        at = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            if not await commitments.waits(connection, taken, lock=True):
                return True
            await commitments.settle(connection, taken.id, outcomes, at)
            await self._announce(connection, commitment, at)
            due_at = at + timedelta(seconds=GRACE_SECS) if line is not None else at
            (due,) = await notifications.owe(connection, [owed], at, due_at)
            found = self._damaged(commitment, outcomes)
            found += self._unreachable(due.endpoint) if line is None else []
            await findings.raise_many(connection, found, at)
        if line is not None:
            await self._report(line, message, due)
        self._on_owed()
        return True

    async def _rows(self, commitment: Commitment) -> list[Instance]:
        named = [one.sop_uid for one in commitment.instances]
        async with self._pool.acquire() as connection:
            return await imaging.instances_named(connection, commitment.facility, named)

    async def _announce(self, connection: Connection, commitment: Commitment, at: datetime) -> None:
        """Who asks for it has it, or had it. Said now, because what was stored a moment ago is in the index by now, and
        tells of which study the others are."""
        asking = title_of(commitment.other)
        await announce(
            connection,
            channel=self._channel,
            facility=commitment.facility,
            source=Source.COMMITMENT,
            about=f"{asking} {commitment.transaction_uid}",
            said_by=asking,
            said=[Announced(one.sop_uid) for one in commitment.instances],
            at=at,
        )

    async def _report(self, line: Line, message: Notification, due: Due) -> None:
        """Over the association of the request, where it still stands (PS3.4 J.3.3.1.2); else a courier does."""
        values: dict[Element, int | str] = {
            Element.AFFECTED_SOP_CLASS_UID: message.sop_class,
            Element.AFFECTED_SOP_INSTANCE_UID: message.sop_uid,
            Element.EVENT_TYPE_ID: message.number,
        }
        why, words = "", ""
        try:
            async with asyncio.timeout(ANSWER_SECS):
                answer = Answer(message.operation, await line.report(values, message.data_set))
            if not answer.accepted:
                why, words = answer.code, answer.words
        except DeliveryError as error:
            why, words = error.code, error.message
        except TimeoutError:
            why = "no-answer"
        at = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            if not why:
                await outbox.delivered(connection, due, answer.receipt, at)
                return
            await outbox.postponed(connection, due, why, words, at, at)
            await findings.raise_many(connection, self._unreachable(due.endpoint), at)

    async def _outcomes(self, commitment: Commitment, rows: Sequence[Instance]) -> list[int]:
        """In the order of the request. Raises StorageError when it cannot be told now."""
        if not commitment.first:
            return [status.DUPLICATE_TRANSACTION] * len(commitment.instances)
        stored: dict[str, list[Instance]] = {}
        for row in rows:
            stored.setdefault(row.sop_uid, []).append(row)
        return [await self._outcome(named, stored.get(named.sop_uid, [])) for named in commitment.instances]

    async def _outcome(self, named: Named, contents: Sequence[Instance]) -> int:
        """Every content that came under this UID must be here: who asks may mean any of them."""
        if not contents:
            known = named.sop_class in STORAGE_CLASSES
            return status.NO_SUCH_SOP_INSTANCE if known else status.SOP_CLASS_NOT_SUPPORTED
        if any(content.sop_class != named.sop_class for content in contents):
            return status.CLASS_INSTANCE_CONFLICT
        for content in contents:
            if not await self._is_here(content):
                return status.PROCESSING_FAILURE
        return KEPT

    async def _is_here(self, row: Instance) -> bool:
        """Whether the object can be read, and has the hash of its row. Raises StorageError when that cannot be told."""
        digest = hashlib.sha256()
        lies_at = as_sent(row.location)
        content = Content(row.sop_uid, row.sop_class, row.transfer_syntax, lies_at, row.charset, row.bytes)
        try:
            async for piece, _ in StoredDataSet(self._archive.objects, content).pieces():
                await asyncio.to_thread(digest.update, piece)
        except NotFoundError:
            return False
        return digest.digest() == row.sha256

    def _unreachable(self, destination: str) -> list[Raised]:
        if destination in self._reachable:
            return []
        found = Finding(
            "commitment-result-unaddressed",
            "It asks for storage commitment and does not wait for the result on its association, but its entry gives "
            "no address and port: the results wait here. Add both, and restart.",
            once=destination,
        )
        return [Raised(found, None, destination, self._channel)]

    def _damaged(self, commitment: Commitment, outcomes: Sequence[int]) -> list[Raised]:
        damaged = outcomes.count(status.PROCESSING_FAILURE)
        if not damaged:
            return []
        found = Finding(
            "commitment-object-damaged",
            f"Of the objects that were asked to be kept for good, {damaged} are in the index but cannot be read as "
            "they came; their sender was told to keep them.",
        )
        return [Raised(found, None, f"Commitment/{commitment.transaction_uid}", self._channel)]


def _missing(commitment: Commitment, rows: Sequence[Instance]) -> set[str]:
    """Instances without any row."""
    return {one.sop_uid for one in commitment.instances} - {row.sop_uid for row in rows}


def _study_of(commitment: Commitment, rows: Sequence[Instance]) -> str | None:
    """The study that a request is about; none where it is of several, or of nothing that is here."""
    studies = {row.study_uid for row in rows}
    if len(studies) != 1:
        return None
    return f"ImagingStudy/{study_id(commitment.facility, studies.pop())}"


def result_of(commitment: Commitment, outcomes: Sequence[int]) -> tuple[int, bytes]:
    """Event type and event information of a result: every instance of the request is in it (PS3.4 J.3.3.1.2)."""
    kept, failed = [], []
    for named, outcome in zip(commitment.instances, outcomes, strict=True):
        item = Dataset()
        item.ReferencedSOPClassUID = named.sop_class
        item.ReferencedSOPInstanceUID = named.sop_uid
        if outcome == KEPT:
            kept.append(item)
        else:
            item.FailureReason = outcome
            failed.append(item)
    report = Dataset()
    report.TransactionUID = commitment.transaction_uid
    if kept:
        report.ReferencedSOPSequence = Items(kept)
    if failed:
        report.FailedSOPSequence = Items(failed)
    return (SOME_FAILED if failed else ALL_KEPT), encoded(report, IMPLICIT_VR_LITTLE_ENDIAN)
