"""Who hears what we owe them? Messages of N-services to other application entities, each in its order, until accepted.

A destination that is away blocks only itself. Several processes may serve one: a message is claimed for a while, and
whoever dies with it leaves it to the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import asyncpg

from engine.clock import Clock
from engine.config import Retry
from engine.errors import DeliveryError, HutongError, ParseError
from engine.finding import Finding, Severity
from engine.store import findings, notifications, outbox
from engine.store.database import FAILED, end_if_cancelled
from engine.store.findings import Raised
from engine.store.notifications import Notification, Operation
from engine.store.outbox import Due
from pacs_gateway.background import Background, places_of
from pacs_gateway.claiming import claim_end, claimed
from pacs_gateway.heard import Answer
from pacs_gateway.query.identifier import UNREADABLE, decoded, encoded
from pacs_gateway.scp.normalized import DATA_SET_LIMIT
from pacs_gateway.scu.peer import PLAIN, Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

IDLE_SECS = 5.0
"""What another process adds is seen after so long at the latest."""
REFUSALS = 8
"""Failing answers to one message, or associations without its class, before it is given up, so that what stands behind
it has its turn; a peer that is away is tried for ever."""
_REFUSED_WITH = ("status-%", "sop-class-not-taken")
"""Outcomes of those, as patterns."""

_log = logging.getLogger(__name__)

_FIELDS = {
    Operation.CREATE: CommandField.N_CREATE_RQ,
    Operation.SET: CommandField.N_SET_RQ,
    Operation.ACTION: CommandField.N_ACTION_RQ,
    Operation.EVENT_REPORT: CommandField.N_EVENT_REPORT_RQ,
}
_AFFECTED = (Element.AFFECTED_SOP_CLASS_UID, Element.AFFECTED_SOP_INSTANCE_UID)
_REQUESTED = (Element.REQUESTED_SOP_CLASS_UID, Element.REQUESTED_SOP_INSTANCE_UID)
_NUMBERED = {Operation.ACTION: Element.ACTION_TYPE_ID, Operation.EVENT_REPORT: Element.EVENT_TYPE_ID}


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom to call, and as whom."""

    peer: Peer
    calling_ae: str
    retry: Retry


class Notifier:
    """Tells these destinations what they are owed, several of them at once."""

    def __init__(self, pool: asyncpg.Pool, destinations: Mapping[str, Destination], clock: Clock) -> None:
        self._pool = pool
        self._destinations = destinations
        self._clock = clock
        self._wake = asyncio.Event()
        self._background = Background("dicom notifier")
        self._serving: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        """An attempt that is under way is given up; it is repeated."""
        await self._background.close()
        tasks = list(self._serving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Something new is owed."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause_secs = await self._serve_all()
            except FAILED as error:
                end_if_cancelled()
                _log.warning("what others are owed to hear waits: %s", type(error).__name__)
                pause_secs = IDLE_SECS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_secs):
                    await self._wake.wait()

    async def _serve_all(self) -> float:
        """Begins with every destination that is due; seconds until the next may be."""
        async with self._pool.acquire() as connection:
            waiting = await notifications.waiting(connection, sorted(self._destinations))
        at = self._clock()
        for name, due_at in waiting.items():
            if due_at <= at and name not in self._serving:
                task = asyncio.create_task(self._serve(name), name=f"dicom courier {name}")
                self._serving[name] = task
                task.add_done_callback(partial(self._served, name))
        later = [(due_at - at).total_seconds() for due_at in waiting.values() if due_at > at]
        return min([IDLE_SECS, *later])

    def _served(self, name: str, task: asyncio.Task[None]) -> None:
        del self._serving[name]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: what it is owed waits: %s", name, places_of(error))

    async def _serve(self, name: str) -> None:
        """As long as something is due."""
        try:
            while await self._step(name, self._destinations[name]):
                pass
        except (*FAILED, HutongError) as error:
            end_if_cancelled()
            _log.warning("%s: what it is owed waits: %s", name, type(error).__name__)
            await asyncio.sleep(IDLE_SECS)

    async def _step(self, name: str, destination: Destination) -> bool:
        """Tells the oldest message if it is due; whether it was."""
        at = self._clock()
        until = claim_end(at)
        async with self._pool.acquire() as connection:
            due = await notifications.claim(connection, name, at, until)
        if due is None:
            return False
        try:
            async with claimed(until, self._clock, partial(self._claim_longer, due)):
                answer = await tell(destination, notifications.read(due.payload))
        except DeliveryError as error:
            if error.code == "sop-class-not-taken":
                await self._not_taken(due, destination, error.code, error.message)
            else:
                await self._postpone(due, destination, error.code, error.message)
        except ParseError as error:
            await self._refuse(due, error.code, error.message)
        else:
            await self._answered(due, destination, answer)
        return True

    async def _claim_longer(self, due: Due, old: datetime, until: datetime) -> bool:
        async with self._pool.acquire() as connection:
            return await notifications.claim_longer(connection, due, old, until)

    async def _answered(self, due: Due, destination: Destination, answer: Answer) -> None:
        if answer.accepted:
            async with self._pool.acquire() as connection, connection.transaction():
                await outbox.delivered(connection, due, answer.receipt, self._clock())
        else:
            await self._not_taken(due, destination, answer.code, answer.words)

    async def _not_taken(self, due: Due, destination: Destination, code: str, detail: str) -> None:
        """The peer is there and says no, to the message or to its whole class: again, as often as REFUSALS says."""
        async with self._pool.acquire() as connection:
            refusals = await outbox.attempts_with(connection, due.id, *_REFUSED_WITH)
        if refusals + 1 < REFUSALS:
            await self._postpone(due, destination, code, detail)
        else:
            await self._refuse(due, code, detail)

    async def _postpone(self, due: Due, destination: Destination, code: str, detail: str) -> None:
        if due.attempts == 0:
            _log.warning("%s: not told yet: %s", due.endpoint, code)
        at = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            next_attempt_at = at + destination.retry.pause(due.attempts)
            await outbox.postponed(connection, due, code, detail, next_attempt_at, at)

    async def _refuse(self, due: Due, code: str, detail: str) -> None:
        """Out of the order, so that what stands behind it has its turn; a person sends it again, or gives it up."""
        found = Finding(
            "delivery-refused",
            f"{due.endpoint} does not take delivery {due.id} ({code}). Mend the cause there, then send it again.",
            Severity.ERROR,
        )
        at = self._clock()
        async with self._pool.acquire() as connection, connection.transaction():
            await outbox.refused(connection, due, code, detail, at)
            await findings.raise_many(connection, [Raised(found, None, f"Delivery/{due.id}")], at)


async def tell(destination: Destination, message: Notification) -> Answer:
    """Tells it over an association of our own. Raises DeliveryError when there was no answer."""
    as_provider = message.operation is Operation.EVENT_REPORT
    syntaxes = tuple(dict.fromkeys((message.transfer_syntax, *PLAIN)))
    proposal = Proposal(message.sop_class, syntaxes, as_provider=as_provider)
    async with opened(destination.peer, destination.calling_ae, [proposal]) as requestor:
        response = await requestor.ask(message.sop_class, _command(message), _data_set(message, requestor))
    return Answer(message.operation, response.status)


def _command(message: Notification) -> CommandSet:
    affected = message.operation in (Operation.CREATE, Operation.EVENT_REPORT)
    sop_class, sop_uid = _AFFECTED if affected else _REQUESTED
    values: dict[Element, int | str] = {Element.MESSAGE_ID: 1, sop_class: message.sop_class, sop_uid: message.sop_uid}
    if message.operation in _NUMBERED:
        values[_NUMBERED[message.operation]] = message.number
    return CommandSet.of(_FIELDS[message.operation], values, has_data_set=True)


def _data_set(message: Notification, requestor: Requestor) -> bytes:
    """As it came, where the peer takes that encoding; else written anew. Raises DeliveryError."""
    taken = requestor.taken_as(message.sop_class)
    if not taken or message.transfer_syntax in taken:
        return message.data_set
    try:
        return encoded(decoded(message.data_set, message.transfer_syntax, DATA_SET_LIMIT), taken[0])
    except (*UNREADABLE, HutongError) as error:
        raise DeliveryError("it cannot be written in the encoding that the peer takes", code="not-encodable") from error
