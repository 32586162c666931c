"""How does one imaging system get what it is owed? The most urgent first, tried again until it is done or refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from engine.clock import CHINA, Clock
from engine.config import DicomEndpoint, HutongEndpoint
from engine.config.windows import is_open
from engine.errors import ParseError
from engine.finding import Finding, Severity
from engine.store import findings, imaging_outbox, outbox
from engine.store.database import FAILED
from engine.store.findings import Raised
from engine.store.imaging_outbox import QUESTIONS, ROUTINE, STUDIES, URGENT_STUDIES, ImagingOwed, PrioritisedDue
from engine.store.outbox import Due
from pacs_gateway.background import places_of
from pacs_gateway.sending.outcome import Outcome, Turns

IDLE_SECS = 1.0
_OF_THE_SYSTEM = frozenset({"unreachable", "rejected", "no-answer", "out-of-resources"})
"""Codes of errors that any other delivery would meet too."""

_log = logging.getLogger(__name__)


StudyEndpoint = DicomEndpoint | HutongEndpoint
"""Where studies are sent to."""


class Errand(Protocol):
    """What is done for one delivery to an endpoint."""

    async def perform(
        self, due: Due, what: ImagingOwed, turns: Turns, *, urgent: bool, may_go_on: Callable[[], bool]
    ) -> Outcome:
        """One attempt. Raises what the database raises; everything else is in the outcome."""
        ...


class Courier:
    """Its workers share it: no two of them send the same study.

    owed  set whenever something new is owed to anybody
    """

    def __init__(
        self, endpoint: StudyEndpoint, errands: Errand, turns: Turns, owed: asyncio.Event, clock: Clock
    ) -> None:
        self._endpoint = endpoint
        self._errands = errands
        self._turns = turns
        self._owed = owed
        self._clock = clock
        self._under_way: set[bytes] = set()
        self._failures = 0
        self._rests_until: datetime | None = None

    async def work(self, *, asks: bool = False) -> None:
        """One worker, until it is cancelled; one that asks for earlier studies does nothing else, and at any hour.

        Raises what the database raises.
        """
        while True:
            try:
                await self._step(asks)
            except FAILED:
                raise  # everybody begins anew
            except Exception as error:  # noqa: BLE001 - what one system does to us must not stop the others
                _log.error("courier of %s: %s", self._endpoint.name, places_of(error))
                await asyncio.sleep(IDLE_SECS)

    async def _step(self, asks: bool) -> None:
        due = None if self._is_resting() else await self._next(QUESTIONS if asks else self._sendable())
        if due is None:
            await self._rest()
            return
        try:
            await self._attempt(due)
        finally:
            self._under_way.discard(due.payload)

    def _is_resting(self) -> bool:
        return self._rests_until is not None and self._clock() < self._rests_until

    def _sendable(self) -> range:
        return STUDIES if self._window_is_open() else URGENT_STUDIES

    async def _next(self, priorities: range) -> PrioritisedDue | None:
        async with self._turns.transaction() as connection:
            due = await imaging_outbox.due(
                connection,
                self._endpoint.name,
                self._clock(),
                apart_from=self._under_way,
                priorities=priorities,
            )
            if due is not None:
                self._under_way.add(due.payload)
        return due

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECS):
                await self._owed.wait()
        except TimeoutError:
            return

    def _window_is_open(self) -> bool:
        return is_open(self._endpoint.windows, self._clock().astimezone(CHINA))

    async def _attempt(self, due: PrioritisedDue) -> None:
        urgent = due.priority < ROUTINE
        try:
            what = imaging_outbox.read_payload(due.payload)
        except ParseError as error:
            outcome = Outcome(said="", refused=error.message)
        else:
            outcome = await self._errands.perform(
                due, what, self._turns, urgent=urgent, may_go_on=lambda: urgent or self._window_is_open()
            )
        at = self._clock()
        async with self._turns.transaction() as connection:
            await findings.raise_many(connection, outcome.raised, at)
            if outcome.again is not None:
                pause = self._endpoint.retry.pause(0 if outcome.progress else due.attempts)
                await outbox.postponed(connection, due, outcome.again.code, outcome.again.message, at + pause, at)
            elif outcome.paused:
                pass  # it stays owed, and what was refused is offered once more with the rest
            elif outcome.refused:
                await outbox.refused(connection, due, "objects-refused", outcome.refused, at)
                await findings.raise_many(connection, [_refused(due, outcome.refused)], at)
            else:
                await outbox.delivered(connection, due, outcome.said.encode(), at)
        self._remember_how_it_went(due, outcome, at)

    def _remember_how_it_went(self, due: PrioritisedDue, outcome: Outcome, at: datetime) -> None:
        """A system that nobody reaches is not tried once more for everything that it is owed."""
        if outcome.again is None or outcome.again.code not in _OF_THE_SYSTEM:
            self._failures = 0
            self._rests_until = None
        else:
            self._rests_until = at + self._endpoint.retry.pause(0 if outcome.progress else self._failures)
            self._failures += 1
        if outcome.again is not None:
            _log.warning("delivery %s to %s: %s", due.id, due.endpoint, outcome.again.code)


def _refused(due: PrioritisedDue, why: str) -> Raised:
    finding = Finding(
        "delivery-refused",
        f"Not all of delivery {due.id} to {due.endpoint} could be done: {why}. Mend the cause there, then send it "
        "again.",
        Severity.ERROR,
    )
    return Raised(finding, about=f"Delivery/{due.id}")
