"""How is a payload accepted? Step 4 of the walk: duplicate check and group commit; durable before anyone is answered.

There is no timer: whatever arrives while one batch is being committed is the next batch, so a lone message waits for
nobody and a thousand connections share one flush.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from uuid import UUID

import asyncpg

from engine.clock import Clock
from engine.codecs import acknowledgment, er7_header
from engine.config import Acknowledge, MllpChannel
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import HutongError, ParseError, StorageError
from engine.identifiers import lane
from engine.ports import Accepted, OnDone
from engine.store import inbox, journal
from engine.store.database import FAILED, Connection, connect, connect_by_index, end_if_cancelled
from engine.store.journal import Entry, Repeated

logger = logging.getLogger(__name__)

BATCH_ENTRIES = 1024
BATCH_BYTES = 32 * 1024 * 1024
"""A batch ends at either: it is held in memory twice, here and in PostgreSQL."""
_ACKNOWLEDGMENT_ID = 20
"""MSH-10 is at most 20 characters long before v2.7."""
_OUTCOME_SECS = 60.0
"""How long a sender is left without an answer that waits for processing: what it waits behind may take days."""
_LISTEN_AGAIN_SECS = 0.2


@dataclass(slots=True)
class _Waiting:
    entry: Entry
    on_done: Callable[[Entry, Repeated | None], None]
    on_failed: Callable[[], None]


@dataclass(slots=True)
class _Awaited:
    """A sender that waits for the outcome of its message."""

    on_done: OnDone
    give_up: asyncio.TimerHandle


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
        self._listening: asyncio.Task[None] | None = None
        self._awaiting: dict[UUID, list[_Awaited]] = {}
        self._to_ask: set[UUID] = set()
        self._ask = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._journal = await connect_by_index(self._database_url)
        if any(channel.acknowledge is Acknowledge.WHEN_PROCESSED for channel in self._channels.values()):
            self._listening = asyncio.create_task(self._listen_for_outcomes())

    async def close(self) -> None:
        """Commits what was taken, answers it, and closes the connections."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        for envelope in list(self._awaiting):
            self._answer(envelope, None)
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
            self._await_outcome(repeated.envelope if repeated else entry.envelope.id, on_done)

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
        envelope_id = self._ids.next(at)
        acknowledgment_id = envelope_id.hex[:_ACKNOWLEDGMENT_ID]
        digest = sha256(payload).digest()
        control_id = message_type = ""
        lanes: tuple[str, ...] = ()
        try:
            header = er7_header.peek(payload, channel.charset, channel.name)
        except ParseError as error:
            answer = acknowledgment.negative(None, error, ack_control_id=acknowledgment_id, at=at, code="AR")
            control_key = blake2b(channel.name.encode() + digest, digest_size=16).digest()
            content_key = digest[:16]
        else:
            control_id, message_type = _storable(header.control_id), _storable(header.message_type)
            lanes = tuple(lane(channel.facility, _storable(value)) for value in header.patient_ids)
            control_key, content_key = header.control_key, header.content_key
            answer = b""
            if channel.acknowledge is Acknowledge.WHEN_PERSISTED:
                answer = acknowledgment.positive(header, acknowledgment_id, at)
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
            lanes=lanes or (lane(channel.facility, f"channel {channel.name}"),),
        )
        return Entry(envelope, answer, control_key, content_key)

    # ── committing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        if not self._committing:
            self._committing = True
            self._spawn(self._commit_all())

    async def _commit_all(self) -> None:
        try:
            await asyncio.sleep(0)  # let every socket that is readable now join this batch
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

    # ── answers that wait for processing ────────────────────────────────────────────────────────────────────────────

    def _await_outcome(self, envelope: UUID, on_done: OnDone) -> None:
        give_up = asyncio.get_running_loop().call_later(_OUTCOME_SECS, self._give_up, envelope, on_done)
        self._awaiting.setdefault(envelope, []).append(_Awaited(on_done, give_up))
        self._ask_for([envelope])  # it may have ended before we listened for it

    def _give_up(self, envelope: UUID, on_done: OnDone) -> None:
        """The envelope stays accepted; its sender will send again, and be answered as a repeat once it has ended."""
        left = [awaited for awaited in self._awaiting.pop(envelope) if awaited.on_done is not on_done]
        if left:
            self._awaiting[envelope] = left
        _call(on_done, None)

    def _on_outcome(self, _connection: object, _pid: int, _channel: str, envelope: object) -> None:
        self._ask_for({UUID(str(envelope))} & self._awaiting.keys())

    def _ask_for(self, envelopes: Iterable[UUID]) -> None:
        self._to_ask.update(envelopes)
        self._ask.set()

    async def _listen_for_outcomes(self) -> None:
        """Answers what has ended until it is cancelled; what ended while nobody listened is asked for afterwards."""
        while True:
            try:
                connection = await connect(self._database_url)
                try:
                    await connection.add_listener(inbox.CHANNEL, self._on_outcome)
                    connection.add_termination_listener(lambda _: self._ask.set())
                    self._ask_for(self._awaiting)
                    await self._answer_what_ended(connection)
                finally:
                    connection.terminate()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                logger.info("answers that wait for processing wait for the database: %s", type(error).__name__)
                await asyncio.sleep(_LISTEN_AGAIN_SECS)

    async def _answer_what_ended(self, connection: Connection) -> None:
        while True:
            await self._ask.wait()
            self._ask.clear()
            asked, self._to_ask = self._to_ask, set()
            for envelope, reply in (await inbox.replies_of(connection, asked)).items():
                self._answer(envelope, reply)

    def _answer(self, envelope: UUID, reply: bytes | None) -> None:
        for awaited in self._awaiting.pop(envelope, ()):
            awaited.give_up.cancel()
            _call(awaited.on_done, reply)

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


def _storable(text: str) -> str:
    """Text as PostgreSQL can hold it: no U+0000, no lone surrogates. The payload keeps the bytes."""
    if text.isprintable():
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
