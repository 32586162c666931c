"""Who hears what we owe them? Messages of N-services to other application entities, each in its order, until accepted.

A destination that is away blocks only itself. Several processes may serve one: a message is claimed for a while, and
whoever dies with it leaves it to the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from engine.clock import Clock
from engine.config import Retry
from engine.errors import DeliveryError, HutongError
from engine.finding import Finding
from engine.store import findings, notifications
from engine.store.database import FAILED, end_if_cancelled
from engine.store.findings import Raised
from engine.store.notifications import Due, Operation, Owed
from pacs_gateway import status
from pacs_gateway.query.identifier import UNREADABLE, decoded, encoded
from pacs_gateway.scp.normalized import DATA_SET_LIMIT
from pacs_gateway.scu.peer import PLAIN, Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

CLAIM_SECS = 180.0
"""Longer than any attempt takes: to connect, associate, be answered and part."""
IDLE_SECS = 5.0
"""What another process adds is seen after so long at the latest."""
REFUSALS = 8
"""Failing answers to one message before it is given up, so that what stands behind it has its turn; a peer that is
away is tried for ever."""

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
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})
"""Accepted, if not to the letter (PS3.7 annex C)."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom to call, and as whom."""

    peer: Peer
    calling_ae: str
    retry: Retry


class Notifier:
    """Tells these destinations what they are owed. One courier for each, whatever it is owed by."""

    def __init__(self, pool: asyncpg.Pool, destinations: Mapping[str, Destination], clock: Clock) -> None:
        self._pool = pool
        self._destinations = destinations
        self._clock = clock
        self._wakes = {name: asyncio.Event() for name in destinations}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(name, destination), name=f"dicom courier {name}")
            for name, destination in self._destinations.items()
        ]

    async def close(self) -> None:
        """An attempt that is under way is given up; it is repeated."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def wake(self) -> None:
        """Something new is owed."""
        for wake in self._wakes.values():
            wake.set()

    async def _run(self, name: str, destination: Destination) -> None:
        wake = self._wakes[name]
        while True:
            wake.clear()
            try:
                pause_secs = await self._step(name, destination)
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("%s: what it is owed waits: %s", name, type(error).__name__)
                pause_secs = IDLE_SECS
            if pause_secs > 0:
                try:
                    async with asyncio.timeout(min(pause_secs, IDLE_SECS)):
                        await wake.wait()
                except TimeoutError:
                    continue

    async def _step(self, name: str, destination: Destination) -> float:
        """Tells the oldest message if it is due; seconds until there may be more to do."""
        at = self._clock()
        async with self._pool.acquire() as connection:
            due = await notifications.claim(connection, name, at, at + timedelta(seconds=CLAIM_SECS))
            if due is None:
                next_at = await notifications.due_soonest(connection, [name])
                return IDLE_SECS if next_at is None else max((next_at - at).total_seconds(), 0.01)
        try:
            why = await tell(destination, due.owed)
        except DeliveryError as error:
            await self._postpone(due, destination, error.code)
            return 0.0
        if why is None:
            async with self._pool.acquire() as connection:
                await notifications.delivered(connection, due.id, self._clock())
        elif due.attempts + 1 < REFUSALS:
            await self._postpone(due, destination, why)
        else:
            await self._give_up(due, why)
        return 0.0

    async def _postpone(self, due: Due, destination: Destination, why: str) -> None:
        if due.attempts == 0:
            _log.warning("%s: not told yet: %s", due.owed.destination, why)
        retry = destination.retry
        pause = min(retry.first_secs * retry.factor ** min(due.attempts, 64), retry.max_secs)
        async with self._pool.acquire() as connection:
            await notifications.postponed(connection, due.id, why, self._clock() + timedelta(seconds=pause))

    async def _give_up(self, due: Due, why: str) -> None:
        found = Finding(
            "notification-refused",
            f"{due.owed.destination} refused it {REFUSALS} times ({why}); it is not sent again. Mend the cause there.",
        )
        async with self._pool.acquire() as connection, connection.transaction():
            await notifications.refused(connection, due.id, why)
            await findings.raise_many(connection, [Raised(found, None, due.owed.about)], self._clock())


async def tell(destination: Destination, owed: Owed) -> str | None:
    """Tells it over an association of our own; why it was not accepted, None when it was.

    Raises DeliveryError when there was no answer.
    """
    as_provider = owed.operation is Operation.EVENT_REPORT
    syntaxes = tuple(dict.fromkeys((owed.transfer_syntax, *PLAIN)))
    proposal = Proposal(owed.sop_class, syntaxes, as_provider=as_provider)
    async with opened(destination.peer, destination.calling_ae, [proposal]) as requestor:
        answer = await requestor.ask(owed.sop_class, _command(owed), _data_set(owed, requestor))
    return _judged(owed, answer.status)


def _command(owed: Owed) -> CommandSet:
    affected = owed.operation in (Operation.CREATE, Operation.EVENT_REPORT)
    sop_class, sop_uid = _AFFECTED if affected else _REQUESTED
    values: dict[Element, int | str] = {Element.MESSAGE_ID: 1, sop_class: owed.sop_class, sop_uid: owed.sop_uid}
    if owed.operation in _NUMBERED:
        values[_NUMBERED[owed.operation]] = owed.number
    return CommandSet.of(_FIELDS[owed.operation], values, has_data_set=True)


def _data_set(owed: Owed, requestor: Requestor) -> bytes:
    """As it came, where the peer takes that encoding; else written anew. Raises DeliveryError."""
    taken = requestor.taken_as(owed.sop_class)
    if not taken or owed.transfer_syntax in taken:
        return owed.data_set
    try:
        return encoded(decoded(owed.data_set, owed.transfer_syntax, DATA_SET_LIMIT), taken[0])
    except (*UNREADABLE, HutongError) as error:
        raise DeliveryError("it cannot be written in the encoding that the peer takes", code="not-encodable") from error


def _judged(owed: Owed, answer: int) -> str | None:
    if answer == status.SUCCESS or answer in _WARNINGS:
        return None
    if owed.operation is Operation.CREATE and answer == status.DUPLICATE_SOP_INSTANCE:
        return None  # an earlier attempt arrived, and its answer did not
    return f"status {answer:04X}"
