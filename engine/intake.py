"""How is a payload accepted? Step 4 of the walk: duplicate check and group commit; durable before anyone is answered.

There is no timer: whatever arrives while one batch is being committed is the next batch, so a lone message waits for
nobody and a thousand connections share one flush.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import asyncpg

from engine import entries
from engine.bell import Bell
from engine.clock import Clock
from engine.codecs import acknowledgment, er7_batch, hl7v2
from engine.codecs.er7_batch import Batch
from engine.codecs.er7_header import Header
from engine.config import Hl7Channel
from engine.entries import Arrival
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import HutongError, ParseError, StorageError
from engine.identifiers import lane
from engine.outcomes import Outcomes
from engine.ports import Accepted, OnDone, Queries
from engine.sequences import Sequences
from engine.store import journal
from engine.store.database import FAILED, Connection, connect_by_index
from engine.store.journal import Entry, Repeated

logger = logging.getLogger(__name__)

_QUERIES = ("Q", "SQ")
"""How MSH-9 of every query begins: what is none is not looked at further."""

BATCH_ENTRIES = 1024
BATCH_BYTES = 32 * 1024 * 1024
"""A batch ends at either: it is held in memory twice, here and in PostgreSQL."""
_MESSAGES_AT_ONCE = 256
"""Of a batch of messages that one sender sends: what others send meanwhile joins the same commits."""

_OnDurable = Callable[[bool], None]
"""Called once: whether the bytes are durable."""


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

    def __init__(
        self,
        database_url: str,
        channels: Mapping[str, Hl7Channel],
        clock: Clock,
        ids: EnvelopeIds,
        queries: Queries | None = None,
    ) -> None:
        self._database_url = database_url
        self._channels = channels
        self._clock = clock
        self._ids = ids
        self._queries = queries
        self._flows: dict[tuple[str, str], deque[tuple[bytes, OnDone]]] = {}
        self._sequences = Sequences(database_url)
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

    async def close(self) -> None:
        """Commits what was taken, answers it, and closes the connections."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._outcomes.close()
        await self._bell.close()
        self._sequences.close()
        if self._journal is not None:
            self._journal.terminate()  # nothing is under way on it, and a goodbye could take long

    # ── taking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, channel: str, peer: str, payload: bytes, on_done: OnDone) -> None:
        """Takes one payload of HL7 v2, a message or a batch, in ER7 or XML.

        Calls on_done when its commit has been flushed, with nothing when the sender wants no answer; or with None when
        it was not persisted. A query is answered and not journaled.
        """
        configured = self._channels[channel]
        if (
            configured.sequence_numbers
            or (self._flows and (channel, peer) in self._flows)
            or (not payload.startswith(b"MSH") and er7_batch.is_batch(payload))
        ):
            self._take_in_turn(configured, peer, payload, on_done)
        else:
            self._take(configured, peer, payload, on_done)

    def _take(
        self, channel: Hl7Channel, peer: str, payload: bytes, on_done: OnDone, on_durable: _OnDurable | None = None
    ) -> None:
        """Takes one message of its own."""
        at = self._clock()
        arrival = Arrival(channel, peer, payload, self._ids.next(at), at)
        try:
            header = hl7v2.peek(payload, channel.charset, channel.name)
        except ParseError as error:
            self._enqueue(self._waiting(entries.of_unreadable(arrival, error), None, channel, on_done, on_durable))
            return
        if header.field(9).startswith(_QUERIES) and self._queries is not None and self._queries.takes(header):
            if on_durable is not None:
                on_durable(True)  # there is nothing of a query to keep
            self._spawn(self._ask(self._queries, arrival, header, on_done))
            return
        self._enqueue(self._waiting(entries.of_message(arrival, header), header, channel, on_done, on_durable))

    def _waiting(
        self, entry: Entry, header: Header | None, channel: Hl7Channel, on_done: OnDone, on_durable: _OnDurable | None
    ) -> _Waiting:
        """What is done once the entry is durable, or is not. `on_durable` hears of that before the answer is chosen."""
        tell = self._telling(header, channel, on_done)

        def durable(entry: Entry, repeated: Repeated | None) -> None:
            if on_durable is not None:
                on_durable(True)
            self._answer(entry, repeated, tell)

        def failed() -> None:
            if on_durable is not None:
                on_durable(False)
            on_done(None)

        return _Waiting(entry, durable, failed)

    def _telling(self, header: Header | None, channel: Hl7Channel, on_done: OnDone) -> OnDone:
        """In enhanced mode, an on_done that says only what was asked for."""
        if header is None or not acknowledgment.is_enhanced(header):
            return on_done
        elsewhere = channel.application_ack_to is not None
        return lambda answer: on_done(answer and acknowledgment.to_send(header, answer, elsewhere=elsewhere))

    def _answer(self, entry: Entry, repeated: Repeated | None, tell: OnDone) -> None:
        """Answers what is durable, or lets its sender wait until it is processed."""
        answer = repeated.acknowledgment if repeated else entry.acknowledgment
        if answer:
            tell(answer)
        else:
            self._outcomes.wait_for(repeated.envelope if repeated else entry.envelope.id, tell)

    async def _ask(self, queries: Queries, arrival: Arrival, header: Header, on_done: OnDone) -> None:
        answer = await queries.answer(
            channel=arrival.channel.name,
            facility=arrival.channel.facility,
            peer=arrival.peer,
            payload=arrival.payload,
            header=header,
            control_id=arrival.acknowledgment_id,
            at=arrival.at,
        )
        _call(on_done, answer)

    # ── taking in turn: batches, and senders that number their messages ─────────────────────────────────────────────

    def _take_in_turn(self, channel: Hl7Channel, peer: str, payload: bytes, on_done: OnDone) -> None:
        """What one connection sends while something of it takes several commits waits behind that, in its order."""
        flow = (channel.name, peer)
        queue = self._flows.get(flow)
        if queue is not None:
            queue.append((payload, on_done))
            return
        self._flows[flow] = deque([(payload, on_done)])
        self._spawn(self._work_off(flow, channel))

    async def _work_off(self, flow: tuple[str, str], channel: Hl7Channel) -> None:
        queue = self._flows[flow]
        try:
            while queue:
                payload, on_done = queue.popleft()
                if not payload.startswith(b"MSH") and er7_batch.is_batch(payload):
                    await self._take_batch(channel, flow[1], payload, on_done)
                elif channel.sequence_numbers:
                    await self._take_numbered(channel, flow[1], payload, on_done)
                else:
                    self._take(channel, flow[1], payload, on_done)
        finally:
            del self._flows[flow]
            for _, on_done in queue:
                _call(on_done, None)

    async def _take_batch(self, channel: Hl7Channel, peer: str, payload: bytes, on_done: OnDone) -> None:
        """Takes the messages of a batch, each under an envelope of its own, then the batch itself as it came.

        The answer leaves when all of them are durable and answered. When one is not, there is none: the sender sends
        the batch again, and what was journaled of it is a repeat.
        """
        at = self._clock()
        arrival = Arrival(channel, peer, payload, self._ids.next(at), at)
        try:
            batch = er7_batch.split(payload, channel.charset)
        except ParseError as error:
            entry = entries.of_unreadable(arrival, error, Kind.HL7V2_BATCH)
            self._enqueue(self._waiting(entry, None, channel, on_done, None))
            return
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[bytes | None]] = []
        for first in range(0, len(batch.messages), _MESSAGES_AT_ONCE):
            durable: list[asyncio.Future[bool]] = []
            for message in batch.messages[first : first + _MESSAGES_AT_ONCE]:
                answered, kept = loop.create_future(), loop.create_future()
                answers.append(answered)
                durable.append(kept)
                self._take(channel, peer, message, _settling(answered), _settling(kept))
            if not all(await asyncio.gather(*durable)):
                on_done(None)
                return
        kept = loop.create_future()
        self._enqueue(
            _Waiting(entries.of_batch(arrival, batch), lambda *_: kept.set_result(True), lambda: kept.set_result(False))
        )
        if not await kept:
            on_done(None)
            return
        self._spawn(self._answer_batch(arrival, batch, answers, on_done))

    async def _answer_batch(
        self, arrival: Arrival, batch: Batch, answers: Sequence[asyncio.Future[bytes | None]], on_done: OnDone
    ) -> None:
        """Those of a channel that answers when processed may come much later; nobody's next message waits for them."""
        given = [answer for answered in answers if (answer := await answered) is not None]
        whole = len(given) == len(answers)
        _call(on_done, entries.batch_answer(arrival, batch, given) if whole else None)

    async def _take_numbered(self, channel: Hl7Channel, peer: str, payload: bytes, on_done: OnDone) -> None:
        at = self._clock()
        arrival = Arrival(channel, peer, payload, self._ids.next(at), at)
        try:
            header = hl7v2.peek(payload, channel.charset, channel.name)
        except ParseError as error:
            self._enqueue(self._waiting(entries.of_unreadable(arrival, error), None, channel, on_done, None))
            return
        try:
            taken = await self._sequences.take(arrival, header)
        except (*FAILED, HutongError) as error:
            logger.error("a numbered message is not persisted and not acknowledged: %s", type(error).__name__)
            _call(on_done, None)
            return
        if taken.entry is None:
            _call(on_done, acknowledgment.to_send(header, taken.answer))
            return
        self._bell.ring()
        self._answer(taken.entry, taken.repeated, self._telling(header, channel, on_done))

    async def accept_manifest(
        self, *, channel: str, facility: str, peer: str, study_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted:
        """Takes a study manifest. Raises StorageError when it was not persisted."""
        return await self._accept_own(
            Kind.DICOM_STUDY, "study", study_uid, channel, facility, peer, patient_ids, payload
        )

    async def accept_step(
        self, *, channel: str, facility: str, peer: str, step_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted:
        """Takes what is known of a performed procedure step. Raises StorageError when it was not persisted."""
        return await self._accept_own(Kind.DICOM_STEP, "step", step_uid, channel, facility, peer, patient_ids, payload)

    async def _accept_own(
        self,
        kind: Kind,
        word: str,
        uid: str,
        channel: str,
        facility: str,
        peer: str,
        patient_ids: Sequence[str],
        payload: bytes,
    ) -> Accepted:
        at = self._clock()
        envelope = Envelope(
            id=self._ids.next(at),
            kind=kind,
            channel=channel,
            facility=facility,
            peer=peer,
            received_at=at,
            control_id=uid,
            message_type=word,
            payload=payload,
            sha256=sha256(payload).digest(),
            # Its own too: what is said of it may name nobody, or somebody else than before.
            lanes=tuple(lane(facility, named) for named in (*patient_ids, f"{word} {uid}")),
        )
        entry = entries.of_gateway(envelope, word, uid)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._enqueue(_Waiting(entry, lambda *_: done.set_result(True), lambda: done.set_result(False)))
        if not await done:
            raise StorageError(f"what the gateway says of a {word} could not be persisted")
        return Accepted(envelope.id, entry.acknowledgment)

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


def _settling(future: asyncio.Future[Any]) -> Callable[[Any], None]:
    """A callback that settles a future, once."""

    def settle(value: Any) -> None:
        if not future.done():
            future.set_result(value)

    return settle


def _call(callback: Callable[..., None], *arguments: object) -> None:
    """One client that has gone must not cost the others of its batch their answers."""
    try:
        callback(*arguments)
    except OSError as error:
        logger.warning("an answer could not be written: %s", type(error).__name__)
