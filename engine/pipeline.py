"""How do accepted envelopes become records? Steps 6 to 10 of the walk, in batches, one transaction each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from traceback import format_tb

import asyncpg

from engine.answering import order_answers
from engine.answering.replies import Ended, Replies
from engine.clock import Clock
from engine.codecs import fhir_json, hl7v2
from engine.codecs.er7_header import Header
from engine.config import Community, Hl7Channel
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import Disposition, HutongError, MappingError, ParseError, StorageError
from engine.finding import Finding, Severity
from engine.mapping import MappingSet
from engine.recording import Book, Late, Recorded, Replayed, find_strangers, record
from engine.store import demographics, findings, inbox, journal
from engine.store.database import FAILED, LOST, Connection, connect_by_index, end_if_cancelled
from engine.store.findings import Raised
from engine.store.inbox import Claimed, Outcome, ReplayEnd
from engine.store.records import VersionConflict
from engine.understanding import ORDER_ANSWER, Understood, held_by, understand

logger = logging.getLogger(__name__)

BATCH = 32
"""Envelopes per transaction: enough to share a flush, few enough that one bad envelope repeats little work."""
IDLE_SECS = 1.0
"""A notification wakes the pipeline; this is how long it trusts that none was lost."""
TRIES = 5
"""How often an envelope alone is tried again after an error that may pass, before it is held."""
_FIRST_PAUSE_SECS = 0.2
UNEXPECTED = "unexpected-error"
_OUR_FAULT = frozenset({UNEXPECTED, StorageError.code, VersionConflict.code})

_REUSED = Finding(
    "control-id-reused",
    "The control id came before with other content; this message is processed as a new one.",
    Severity.INFORMATION,
    "MSH-10",
)


class Pipeline:
    """One worker over the journal; any number of them, in any number of processes, may run at once."""

    def __init__(
        self, database_url: str, community: Community, mappings: MappingSet, clock: Clock, ids: EnvelopeIds
    ) -> None:
        self._database_url = database_url
        self._community = community
        self._mappings = mappings
        self._clock = clock
        self._ids = ids
        self._replies = Replies(community, ids)
        self._systems: frozenset[str] = frozenset()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Works until it is cancelled; a lost database connection is opened again, and told of once."""
        lost = False
        while True:
            try:
                connection = await connect_by_index(self._database_url)
                try:
                    await connection.add_listener(journal.CHANNEL, lambda *_: self._arrived.set())
                    lost = False
                    await self._work(connection)
                finally:
                    connection.terminate()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                if not lost:
                    logger.error("the pipeline lost the database and tries again: %s", type(error).__name__)
                lost = True
                await asyncio.sleep(_FIRST_PAUSE_SECS)

    async def _work(self, connection: Connection) -> None:
        while True:
            self._arrived.clear()
            if await self.run_batch(connection):
                continue
            try:
                async with asyncio.timeout(IDLE_SECS):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    async def run_batch(self, connection: Connection) -> int:
        """Runs what may run now, at most BATCH; returns how many were claimed. What fails together is tried alone."""
        try:
            return await self._run(connection)
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one envelope does to us, it is the one to be held
            logger.info("a batch is repeated one by one: %s", type(error).__name__)
            return await self._run_alone(connection)

    async def _run(self, connection: Connection) -> int:
        async with connection.transaction():
            claimed = await inbox.claim(connection, BATCH, self._clock())
            at = self._clock()  # after the claim: later than the end of those that had to end before these
            systems = await self._walk(connection, claimed, at)
        self._systems |= systems
        return len(claimed)

    async def _run_alone(self, connection: Connection) -> int:
        """The oldest runnable envelope in a transaction of its own; held when its error will not pass by itself."""
        async with connection.transaction():
            claimed = await inbox.claim(connection, 1, self._clock())
            at = self._clock()
            for one in claimed:
                try:
                    async with connection.transaction():  # a savepoint: the claim outlives a failure
                        await self._walk(connection, [one], at)  # domains are kept again with the next message
                except LOST:
                    raise
                except Exception as error:  # noqa: BLE001 - as above
                    await self._postpone_or_hold(connection, one, error)
        return len(claimed)

    async def _walk(self, connection: Connection, claimed: Sequence[Claimed], at: datetime) -> frozenset[str]:
        """Returns the domains of identifiers that are kept from now on, once the transaction is committed."""
        walks = [(one, understand(one.envelope, self._community, self._mappings)) for one in claimed]
        await self._find_reused(connection, [walk for one, walk in walks if one.asked is None])
        book = Book(connection)
        await find_strangers(connection, book, [(one, walk) for one, walk in walks if not walk.holds], at)
        good = [(one, walk) for one, walk in walks if not walk.holds]
        for one, walk in walks:
            if walk.holds:
                await self._hold(connection, one, walk)
        if good:
            late = {one.envelope.id: Late(one.place, one.replayed, one.redeliver) for one, _ in good if one.asked}
            recorded = await record(connection, [walk for _, walk in good], self._community, self._ids, at, late, book)
            answers = [walk for one, walk in good if not one.replayed]  # they were applied the first time
            await self._apply_order_answers(connection, answers, recorded, at)
            await inbox.finish(
                connection, [await self._processed(connection, one, walk, recorded, at) for one, walk in good], at
            )
            for one, walk in good:
                await self._settle_gone(connection, one, walk, at)
        return await self._keep_domains(connection, [walk for _, walk in good])

    async def _apply_order_answers(
        self, connection: Connection, walks: Sequence[Understood], recorded: Recorded, at: datetime
    ) -> None:
        for envelope in (walk.envelope for walk in walks if walk.mapping == ORDER_ANSWER):
            written, raised = await order_answers.apply(
                connection,
                hl7v2.parse(envelope.payload, self._charset(envelope)),
                endpoints=[e.name for e in self._community.mllp_endpoints.values() if e.facility == envelope.facility],
                facility=envelope.facility,
                envelope=envelope.id,
                channel=envelope.channel,
                at=at,
            )
            recorded.resources[envelope.id].extend(written)
            await findings.raise_many(connection, raised, at)

    async def _keep_domains(self, connection: Connection, walks: Sequence[Understood]) -> frozenset[str]:
        """Queries name a domain, and must be told when nobody knows it."""
        met = frozenset(
            identifier["system"]
            for walk in walks
            for resource in walk.resources
            if resource["resourceType"] == "Patient"
            for identifier in resource.get("identifier") or ()
            if identifier.get("system")
        )
        if new := met - self._systems:
            await demographics.add_systems(connection, new)
        return met

    async def _settle_gone(self, connection: Connection, one: Claimed, walk: Understood, at: datetime) -> None:
        """What a person had tried again settles what held it, in that person's name."""
        if one.asked is not None:
            settlement = f"No longer found when it was processed again: {one.asked.why}"
            await findings.settle_gone(connection, one.envelope.id, walk.findings, one.asked.by, settlement, at)

    async def _find_reused(self, connection: Connection, walks: Sequence[Understood]) -> None:
        headers = {walk.envelope.id: self._header(walk.envelope) for walk in walks}
        keys = {envelope: h.control_key for envelope, h in headers.items() if h is not None and h.control_id}
        reused = await journal.reused(connection, keys)
        for walk in walks:
            if walk.envelope.id in reused:
                walk.findings.append(_REUSED)

    async def _postpone_or_hold(self, connection: Connection, one: Claimed, error: Exception) -> None:
        at = self._clock()
        passing = (
            error.disposition is Disposition.RETRY
            if isinstance(error, HutongError)
            else isinstance(error, asyncpg.TransactionRollbackError)
        )
        if passing and one.attempts < TRIES:
            pause = timedelta(seconds=_FIRST_PAUSE_SECS * 2**one.attempts)
            await inbox.postpone(connection, one.envelope.id, at + pause)
            return
        finding = (
            held_by(error)
            if isinstance(error, HutongError)
            else Finding(
                UNEXPECTED,
                f"Processing failed with {type(error).__name__}. Report it with the id of the envelope.",
                Severity.ERROR,
            )
        )
        # Only places in our code: the text of an unexpected error may quote a patient.
        logger.error("envelope %s: %s\n%s", one.envelope.id, finding.code, "".join(format_tb(error.__traceback__)))
        await self._hold(connection, one, Understood(one.envelope, findings=[finding]))

    async def _hold(self, connection: Connection, one: Claimed, walk: Understood) -> None:
        """Keeps what could not be understood; a sender that waits for the answer is told, and keeps the message."""
        at = self._clock()
        envelope = one.envelope
        if one.replayed:
            await self._leave_as_it_was(connection, one, walk, at)
            return
        await self._settle_gone(connection, one, walk, at)
        raised = [
            Raised(f, envelope.id, f"{envelope.facility} {f.once}" if f.once else None, envelope.channel)
            for f in walk.findings
        ]
        again = {envelope.id} if one.asked else set()
        await findings.raise_many(connection, await findings.not_told_before(connection, raised, again), at)
        ended = Ended(envelope, self._header(envelope), error=_refusal(walk.findings))
        if one.awaited:
            reply = await self._replies.waited_for(connection, ended, at)
            if (header := ended.header) is not None:
                await journal.forget(connection, header.control_key, header.content_key)
            await inbox.finish(
                connection, [Outcome(envelope.id, "refused", walk.mapping, (), walk.unmapped, reply)], at
            )
            return
        if one.asked is None:  # else its sender was told when it was held the first time
            await self._replies.owe(connection, ended, at)
        await inbox.hold(connection, envelope.id, keeps_lanes=walk.keeps_lanes)
        waiting = await inbox.waiting_behind(connection, envelope.id)
        logger.warning(
            "envelope %s of channel %s is held (%s); %d wait behind it",
            envelope.id,
            envelope.channel,
            ", ".join(f.code for f in walk.findings if f.severity is Severity.ERROR),
            waiting,
        )

    async def _leave_as_it_was(self, connection: Connection, one: Claimed, walk: Understood, at: datetime) -> None:
        """A replay that cannot be understood today holds nobody: what was recorded of it before stays."""
        reason = next(finding for finding in walk.findings if finding.severity is Severity.ERROR)
        text = f"It was to be processed again, and today {reason.code} stops it; what was recorded of it before stays."
        finding = Finding(inbox.REPLAY_REFUSED, text, Severity.WARNING, reason.location, reason.rule)
        raised = [Raised(finding, one.envelope.id, channel=one.envelope.channel)]
        told = await findings.not_told_before(connection, raised, {one.envelope.id})
        await findings.raise_many(connection, told, at)
        end = ReplayEnd(one.run, fhir_json.dumps({"refused": reason.code}).decode())
        await inbox.refuse_replay(connection, one.envelope.id, end, one.asked, at)

    async def _processed(
        self, connection: Connection, one: Claimed, walk: Understood, recorded: Recorded, at: datetime
    ) -> Outcome:
        envelope, resources = one.envelope, recorded.resources[one.envelope.id]
        reply = None
        if one.awaited or (self._owes_elsewhere(envelope) and not one.replayed):
            ended = Ended(envelope, self._header(envelope), resources)
            if one.awaited:
                reply = await self._replies.waited_for(connection, ended, at)
            else:
                await self._replies.owe(connection, ended, at)
        return Outcome(
            envelope.id,
            "processed",
            walk.mapping,
            resources,
            walk.unmapped,
            reply,
            replayed=one.replayed,
            asked=one.asked,
            replay=_end_of(one, recorded.replays.get(envelope.id)),
        )

    def _owes_elsewhere(self, envelope: Envelope) -> bool:
        channel = self._community.channels.get(envelope.channel)
        return isinstance(channel, Hl7Channel) and channel.application_ack_to is not None

    def _header(self, envelope: Envelope) -> Header | None:
        """What the intake knew of a message; None for what is none."""
        if envelope.kind is not Kind.HL7V2:
            return None
        try:
            return hl7v2.peek(envelope.payload, self._charset(envelope), envelope.channel)
        except ParseError:
            return None

    def _charset(self, envelope: Envelope) -> str | None:
        channel = self._community.channels.get(envelope.channel)
        return channel.charset if isinstance(channel, Hl7Channel) else None


def _end_of(one: Claimed, replayed: Replayed | None) -> ReplayEnd | None:
    return ReplayEnd(one.run, fhir_json.dumps(replayed.as_json()).decode()) if replayed is not None else None


def _refusal(findings: Sequence[Finding]) -> HutongError:
    """What holds an envelope, as the error that its sender is told.

    Only what is our own fault may be told as an internal error: a sender tries that again with the same bytes.
    """
    reason = next(finding for finding in findings if finding.severity is Severity.ERROR)
    kind = HutongError if reason.code in _OUR_FAULT else MappingError
    return kind(reason.text, location=reason.location, rule=reason.rule, code=reason.code)
