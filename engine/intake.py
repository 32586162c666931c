"""How is a payload accepted? Step 4 of the walk: duplicate check and group commit; durable before anyone is answered.

There is no timer: whatever arrives while one batch is being committed is the next batch, so a lone message waits for
nobody and a thousand connections share one flush.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256

import asyncpg

from engine.bell import Bell
from engine.clock import CHINA, Clock
from engine.codecs import acknowledgment, er7_header
from engine.config import Acknowledge, MllpChannel
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import HutongError, ParseError, StorageError
from engine.identifiers import lane
from engine.lanes import lanes_of, storable
from engine.outcomes import Outcomes
from engine.ports import Accepted, OnDone
from engine.store import journal
from engine.store.database import FAILED, Connection, connect_by_index
from engine.store.journal import Entry, Repeated

logger = logging.getLogger(__name__)

BATCH_ENTRIES = 1024
BATCH_BYTES = 32 * 1024 * 1024
"""A batch ends at either: it is held in memory twice, here and in PostgreSQL."""
_ACKNOWLEDGMENT_ID = 20
"""MSH-10 is at most 20 characters long before v2.7."""


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    on_done: Callable[[Entry, Repeated | None], None]
    on_failed: Callable[[], None]


class JournalIntake:
    """Accepts payloads of every receiver of this process over one connection to the journal.

    What success promises: the commit that holds the bytes has been flushed. It does not promise that the message
    was understood.
    """

    def __init__(self, database_url: str, channels: Mapping[str, MllpChannel], clock: Clock, ids: EnvelopeIds) -> None:
        self._database_url = database_url
        self._channels = channels
        self._clock = clock
        self._ids = ids
        self._queue: list[_Waiting] = []
        self._committing = False
        self._unpersisted = 0
        self._journal: Connection | None = None
        self._bell = Bell(database_url)
        self._outcomes = Outcomes(database_url)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._journal = await connect_by_index(self._database_url)
        self._bell.start()
        if any(channel.acknowledge is Acknowledge.WHEN_PROCESSED for channel in self._channels.values()):
            self._outcomes.start()

    async def close(self) -> None:
        """Commits what was taken, answers it, and closes the connections."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._outcomes.close()
        await self._bell.close()
        if self._journal is not None:
            self._journal.terminate()  # nothing is under way on it, and a goodbye could take long

    # ── taking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, channel: str, peer: str, payload: bytes, on_done: OnDone) -> None:
        """Takes one HL7 v2 payload; calls on_done when its commit has been flushed, or with None when it was not."""
        configured = self._channels[channel]
        entry = self._entry(configured, peer, payload)
        awaited = configured.acknowledge is Acknowledge.WHEN_PROCESSED and not entry.acknowledgment

        def durable(entry: Entry, repeated: Repeated | None) -> None:
            answer = repeated.acknowledgment if repeated else entry.acknowledgment
            if answer or not awaited:
                on_done(answer)
                return
            self._outcomes.wait_for(repeated.envelope if repeated else entry.envelope.id, on_done)

        self._enqueue(_Waiting(entry, durable, lambda: on_done(None)))

    async def accept_manifest(
        self, *, channel: str, facility: str, peer: str, study_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted:
        """Takes a study manifest. Raises StorageError when it was not persisted."""
        at = self._clock()
        digest = sha256(payload).digest()
        envelope = Envelope(
            id=self._ids.next(at),
            kind=Kind.DICOM_STUDY,
            channel=channel,
            facility=facility,
            peer=peer,
            received_at=at,
            control_id=study_uid,
            message_type="study",
            payload=payload,
            sha256=digest,
            lanes=tuple(lane(facility, identifier) for identifier in patient_ids),
        )
        control_key = blake2b(f"{channel}\0{facility}\0{study_uid}".encode(), digest_size=16).digest()
        # The study itself tells new content from old, so every manifest has a content key of its own.
        entry = Entry(envelope, json.dumps({"study": study_uid}).encode(), control_key, envelope.id.bytes)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._enqueue(_Waiting(entry, lambda *_: done.set_result(True), lambda: done.set_result(False)))
        if not await done:
            raise StorageError("the study manifest could not be persisted")
        return Accepted(envelope.id, entry.acknowledgment)

    def _entry(self, channel: MllpChannel, peer: str, payload: bytes) -> Entry:
        """The envelope of a payload with its acknowledgment, which may leave once it is durable."""
        at = self._clock()
        answered_at = at.astimezone(CHINA)  # a HIS that overlooks the zone must not be eight hours wrong
        envelope_id = self._ids.next(at)
        acknowledgment_id = envelope_id.hex[:_ACKNOWLEDGMENT_ID]
        digest = sha256(payload).digest()
        control_id = message_type = ""
        lanes = lanes_of(None, channel.facility, channel.name)
        try:
            header = er7_header.peek(payload, channel.charset, channel.name)
        except ParseError as error:
            answer = acknowledgment.negative(None, error, ack_control_id=acknowledgment_id, at=answered_at, code="AR")
            control_key = blake2b(channel.name.encode() + digest, digest_size=16).digest()
            content_key = digest[:16]
        else:
            control_id, message_type = storable(header.control_id), storable(header.message_type)
            lanes = lanes_of(header, channel.facility, channel.name)
            control_key, content_key = header.control_key, header.content_key
            answer = b""
            if channel.acknowledge is Acknowledge.WHEN_PERSISTED:
                answer = acknowledgment.positive(header, acknowledgment_id, answered_at)
        envelope = Envelope(
            id=envelope_id,
            kind=Kind.HL7V2,
            channel=channel.name,
            facility=channel.facility,
            peer=peer,
            received_at=at,
            control_id=control_id,
            message_type=message_type,
            payload=payload,
            sha256=digest,
            lanes=lanes,
        )
        return Entry(envelope, answer, control_key, content_key)

    # ── committing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        if not self._committing:
            self._committing = True
            self._spawn(self._commit_all())

    async def _commit_all(self) -> None:
        """Begins in the next turn of the loop, when every socket that is readable now has joined the batch."""
        try:
            while self._queue:
                await self._commit(self._next_batch())
        finally:
            self._committing = False

    def _next_batch(self) -> list[_Waiting]:
        total = 0
        for count, waiting in enumerate(self._queue[:BATCH_ENTRIES]):
            total += len(waiting.entry.envelope.payload)
            if total > BATCH_BYTES and count:
                break
        else:
            count = min(len(self._queue), BATCH_ENTRIES)
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            repeated = await journal.append(await self._connection(), [waiting.entry for waiting in batch])
        except (asyncpg.DataError, asyncpg.ProgramLimitExceededError):
            await self._commit_one_by_one(batch)
            return
        except (*FAILED, HutongError) as error:
            self._not_persisted(batch, error)
            return
        if self._unpersisted:
            logger.warning("messages are persisted again; %d were not meanwhile", self._unpersisted)
            self._unpersisted = 0
        self._bell.ring()
        for waiting in batch:
            _call(waiting.on_done, waiting.entry, repeated.get(waiting.entry.envelope.id))

    def _not_persisted(self, batch: list[_Waiting], error: Exception) -> None:
        """Nobody is answered, so everybody sends again; said once for as long as it lasts."""
        if not self._unpersisted:
            logger.error("messages are not persisted and not acknowledged: %s", type(error).__name__)
        self._unpersisted += len(batch)
        if self._journal is not None:
            self._journal.terminate()  # in whatever state it is: the next batch begins on a new one
            self._journal = None
        for waiting in batch:
            _call(waiting.on_failed)

    async def _commit_one_by_one(self, batch: list[_Waiting]) -> None:
        """One entry that the database cannot hold must not cost the others of its batch their answer."""
        if len(batch) > 1:
            for waiting in batch:
                await self._commit([waiting])
            return
        logger.error("a message was not persisted and not acknowledged: the database refuses its values")
        _call(batch[0].on_failed)

    async def _connection(self) -> Connection:
        """The journal's connection, opened again after it was lost. Raises StorageError while it cannot be."""
        if self._journal is None or self._journal.is_closed():
            self._journal = await connect_by_index(self._database_url)
        return self._journal

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _call(callback: Callable[..., None], *arguments: object) -> None:
    """One client that has gone must not cost the others of its batch their answers."""
    try:
        callback(*arguments)
    except OSError as error:
        logger.warning("an answer could not be written: %s", type(error).__name__)
