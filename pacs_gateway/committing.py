"""Is what somebody asks us to keep for good really here? Storage commitment: looked for, read, hashed, reported."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial

import asyncpg
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.clock import Clock
from engine.errors import DeliveryError, HutongError, NotFoundError, StorageError
from engine.finding import Finding
from engine.identifiers import title_of
from engine.store import commitments, findings, imaging, notifications, outbox
from engine.store.announcements import Announced, Source, announce
from engine.store.commitments import KEPT, Commitment, Named
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
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.identifier import encoded
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.scp.service import Line
from pacs_gateway.storage_classes import STORAGE_CLASSES
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
RETRY_SECS = 5.0

_log = logging.getLogger(__name__)

Settled = Callable[[], Awaitable[bool]]
"""Returns when what was answered until now is in the index, or cannot be for now; and which of both it is."""


class Committer:
    """Settles the requests of one channel. A request that was taken is settled, whatever happens to this process.

    reachable  destinations that are called with a result when the association of the request has ended
    settled    waits for the index
    on_owed    called when somebody is owed a result
    """

    def __init__(
        self,
        channel: str,
        pool: asyncpg.Pool,
        archive: Archive,
        clock: Clock,
        reachable: Collection[str],
        settled: Settled,
        on_owed: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._pool = pool
        self._archive = archive
        self._clock = clock
        self._reachable = reachable
        self._settled = settled
        self._on_owed = on_owed
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Goes on with what an earlier process took. Raises StorageError."""
        try:
            async with self._pool.acquire() as connection:
                waiting = await commitments.unsettled(connection, self._channel)
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"commitments cannot be read: {type(error).__name__}") from error
        for number in waiting:
            self.begin(number, None)

    async def close(self) -> None:
        """What is not settled yet is left to the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, number: int, line: Line | None) -> None:
        """Settles a request that is durable; `line` leads to whoever asked, for as long as it does."""
        name = f"commitment {self._channel}"
        task = asyncio.create_task(keep_on(name, partial(self._run, number, line)), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, number: int, line: Line | None) -> None:
        while True:
            try:
                await self._settle(number, line)
                return
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("channel %s: a commitment waits: %s", self._channel, type(error).__name__)
            await asyncio.sleep(RETRY_SECS)

    async def _settle(self, number: int, line: Line | None) -> None:
        settled = await self._settled()
        async with self._pool.acquire() as connection:
            commitment = await commitments.find(connection, number)
            rows = await imaging.instances_named(
                connection, commitment.facility, [one.sop_uid for one in commitment.instances]
            )
        if not settled and {one.sop_uid for one in commitment.instances} - {row.sop_uid for row in rows}:
            raise StorageError("what is to be committed may still be on its way into the index")
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
            if not await commitments.settle(connection, number, outcomes, at):
                return
            await self._announce(connection, commitment, at)
            due_at = at + timedelta(seconds=GRACE_SECS) if line is not None else at
            (due,) = await notifications.owe(connection, [owed], at, due_at)
            await findings.raise_many(connection, self._damaged(commitment, outcomes), at)
        if line is not None:
            await self._report(line, message, due)
        self._on_owed()

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
            if due.endpoint not in self._reachable:
                raised = Raised(_unreachable(due.endpoint), None, due.endpoint, self._channel)
                await findings.raise_many(connection, [raised], at)

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


def _unreachable(destination: str) -> Finding:
    return Finding(
        "commitment-result-unaddressed",
        "It asks for storage commitment and does not wait for the result on its association, but its entry gives no "
        "address and port: the results wait here. Add both, and restart.",
        once=destination,
    )


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
