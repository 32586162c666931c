"""What is being performed? MPPS as its provider (PS3.4 annex F): N-CREATE begins a step, N-SET goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from uuid import uuid4

import asyncpg

from engine.clock import Clock
from engine.errors import ParseError, StorageError
from engine.identifiers import ae_destination
from engine.steps import IN_PROGRESS, PerformedStep, linked, numbers_of
from engine.store import notifications, performed_steps
from engine.store.announcements import Announced, Source, announce
from engine.store.database import FAILED, Connection, end_if_cancelled
from engine.store.notifications import Notification, Owed
from engine.store.notifications import Operation as Sent
from engine.store.performed_steps import Message
from pacs_gateway.normalized import is_uid
from pacs_gateway.performed import Referenced, Told, changed, created
from pacs_gateway.query.identifier import Gathered
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.normalized import Normalized, Refusal, Values, understood
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, Element

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
MAY_NO_LONGER_BE_UPDATED = 0xA710
"""The Error ID (0000,0903) beside status 0110: the step has ended."""
COMMIT_TIMEOUT_SECS = 30.0

Followers = Mapping[str, Collection[str]]
"""Destinations, each with the facilities whose steps it is told of."""


class Steps:
    """What both services share.

    followers  who else is told
    on_told    called when a step was told of
    """

    def __init__(
        self, channel: str, pool: asyncpg.Pool, clock: Clock, followers: Followers, on_told: Callable[[], None]
    ) -> None:
        self.channel = channel
        self._pool = pool
        self._clock = clock
        self._followers = followers
        self._on_told = on_told

    async def create(self, request: Request, sent: Gathered, answers: Answers) -> Values:
        uid = request.command.text(Element.AFFECTED_SOP_INSTANCE_UID) or f"2.25.{uuid4().int}"
        if not is_uid(uid):
            raise ParseError("the SOP Instance UID is none", code="instance-invalid")
        told = await understood(lambda: created(sent.read(), uid, request.caller.facility))
        await self._committed(lambda connection: self._create(connection, told, _message(self.channel, request, sent)))
        return {Element.AFFECTED_SOP_CLASS_UID: PERFORMED_STEP, Element.AFFECTED_SOP_INSTANCE_UID: uid}

    async def set(self, request: Request, sent: Gathered, answers: Answers) -> Values:
        uid = request.command.text(Element.REQUESTED_SOP_INSTANCE_UID)
        message = _message(self.channel, request, sent)
        await self._committed(lambda connection: self._set(connection, uid, request, sent, message))
        return {}

    async def _create(self, connection: Connection, told: Told, message: Message) -> None:
        at = self._clock()
        accessions, studies = numbers_of(told.step)
        await performed_steps.lock_numbers(connection, told.step.facility, [*accessions, *studies])
        candidates = await performed_steps.candidates(connection, told.step.facility, accessions, studies)
        step = linked(told.step, candidates)
        if not await performed_steps.create(connection, step, message, at):
            raise ParseError("the step is there already", code="instance-duplicate")
        await self._tell(connection, step, told.referenced, message, Sent.CREATE)

    async def _set(self, connection: Connection, uid: str, request: Request, sent: Gathered, message: Message) -> None:
        step = await performed_steps.locked(connection, uid, request.caller.facility)
        if step is None:
            raise ParseError("there is no such step", code="instance-unknown")
        if step.state != IN_PROGRESS:
            values: dict[Element, int | str] = {Element.ERROR_ID: MAY_NO_LONGER_BE_UPDATED}
            raise Refusal("the step has ended and may no longer be updated", "step-ended", values)
        known = step
        told = await understood(lambda: changed(known, sent.read()))
        await performed_steps.change(connection, told.step, message, self._clock())
        await self._tell(connection, told.step, told.referenced, message, Sent.SET)

    async def _tell(
        self,
        connection: Connection,
        step: PerformedStep,
        referenced: tuple[Referenced, ...] | None,
        message: Message,
        operation: Sent,
    ) -> None:
        at = self._clock()
        said_by = message.peer.partition("@")[0]
        if referenced is None:
            await performed_steps.judge_studies(connection, step, at)
        else:
            await announce(
                connection,
                channel=self.channel,
                facility=step.facility,
                source=Source.MPPS,
                about=step.uid,
                said_by=said_by,
                said=_announced(step, referenced),
                at=at,
            )
        own = ae_destination(self.channel, said_by)
        sent = Notification(operation, PERFORMED_STEP, step.uid, message.transfer_syntax, message.data_set)
        owed = [
            Owed(destination, sent, step.uid, step.reference, "performed_steps_of")
            for destination, facilities in self._followers.items()
            if step.facility in facilities and destination != own
        ]
        await notifications.owe(connection, owed, at)

    async def _committed(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Does it in one transaction. Raises StorageError."""
        try:
            async with (
                asyncio.timeout(COMMIT_TIMEOUT_SECS),
                self._pool.acquire() as connection,
                connection.transaction(),
            ):
                await work(connection)
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the step cannot be kept: {type(error).__name__}") from error
        self._on_told()


class Create:
    """Implements `Service`."""

    request = CommandField.N_CREATE_RQ

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == PERFORMED_STEP else ()

    def begin(self, request: Request) -> Operation:
        return Normalized(self._steps.channel, request, self._steps.create)


class Set:
    """Implements `Service`."""

    request = CommandField.N_SET_RQ

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == PERFORMED_STEP else ()

    def begin(self, request: Request) -> Operation:
        return Normalized(self._steps.channel, request, self._steps.set)


def _message(channel: str, request: Request, sent: Gathered) -> Message:
    return Message(channel, request.peer, request.transfer_syntax, sent.data)


def _announced(step: PerformedStep, referenced: tuple[Referenced, ...]) -> list[Announced]:
    """A step is of one study, as a rule; where it performs steps of several, the objects themselves will tell."""
    studies = {scheduled.study_uid for scheduled in step.scheduled}
    study_uid = studies.pop() if len(studies) == 1 else ""
    return [Announced(one.sop_uid, one.series_uid, study_uid) for one in referenced]
