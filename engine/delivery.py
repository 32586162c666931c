"""How does what is owed arrive? Step 11 of the walk: each endpoint in its own order, until a receipt proves it.

A dead endpoint blocks only itself. A repeat sends the same bytes under the same MSH-10.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from traceback import format_tb

from engine import centres
from engine.answering import order_answers
from engine.clock import Clock
from engine.codecs import hl7v2
from engine.config import Community, MllpEndpoint
from engine.errors import DeliveryError, Disposition, HutongError, StorageError
from engine.finding import Finding, Severity
from engine.ports import Sender
from engine.store import audit, findings, outbox, records, stranded
from engine.store.database import FAILED, LOST, Connection, connect, end_if_cancelled
from engine.store.outbox import Due

logger = logging.getLogger(__name__)

IDLE_SECS = 1.0
_RECONNECT_SECS = 0.5

MakeSender = Callable[[MllpEndpoint], Sender]


class Couriers:
    """One courier per endpoint, in the one process of the hub that holds the delivery lock."""

    def __init__(self, database_url: str, community: Community, make_sender: MakeSender, clock: Clock) -> None:
        self._database_url = database_url
        self._community = community
        self._make_sender = make_sender
        self._clock = clock
        self._paused = False

    async def run(self) -> None:
        """Delivers until it is cancelled; a lost database is told of once."""
        while True:
            try:
                # In a task of its own: a TaskGroup of Python 3.11 may leave its task marked as cancelled.
                await asyncio.create_task(self._lead())
            except* (*FAILED, HutongError) as failed:
                if not self._paused:
                    logger.error("deliveries pause: %s", type(failed.exceptions[0]).__name__)
                self._paused = True
            end_if_cancelled()
            await asyncio.sleep(_RECONNECT_SECS)

    async def _lead(self) -> None:
        """Waits for the lead and delivers until the connection that holds it is lost."""
        connection = await connect(self._database_url)
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            # Asked again and again, because a statement that waits would keep old rows from being vacuumed meanwhile.
            while not await outbox.lead(connection):  # noqa: ASYNC110
                await asyncio.sleep(IDLE_SECS)
            await stranded.tell(connection, self._community.destinations, self._clock())
            wake = {name: asyncio.Event() for name in self._community.mllp_endpoints}

            def owed(*_: object) -> None:
                for event in wake.values():
                    event.set()

            await connection.add_listener(outbox.CHANNEL, owed)
            self._paused = False
            turn = asyncio.Lock()
            async with asyncio.TaskGroup() as couriers:
                couriers.create_task(_end_with(gone))
                for endpoint in self._community.mllp_endpoints.values():
                    courier = _Courier(
                        endpoint, self._make_sender(endpoint), connection, turn, wake[endpoint.name], self._clock
                    )
                    couriers.create_task(courier.run())
        finally:
            connection.terminate()


async def _end_with(gone: asyncio.Event) -> None:
    """Without the lock somebody else may deliver by now, so nothing is begun on the strength of it any more."""
    await gone.wait()
    raise StorageError("the connection that held the lead is lost")


class _Courier:
    """Delivers what one endpoint is owed, oldest first. `turn` is held only while the database is asked."""

    def __init__(
        self,
        endpoint: MllpEndpoint,
        sender: Sender,
        connection: Connection,
        turn: asyncio.Lock,
        wake: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._endpoint = endpoint
        self._sender = sender
        self._connection = connection
        self._turn = turn
        self._wake = wake
        self._clock = clock

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._step()
                except (*FAILED, HutongError):
                    raise  # the database: everybody begins anew
                except Exception as error:  # noqa: BLE001 - what one endpoint does to us must not stop the others
                    logger.error("courier of %s: %s\n%s", self._endpoint.name, type(error).__name__, _places(error))
                    await asyncio.sleep(IDLE_SECS)
        finally:
            await self._sender.close()

    async def _step(self) -> None:
        self._wake.clear()
        async with self._turn:
            due = await outbox.oldest_owed(self._connection, self._endpoint.name)
        if due is None:
            await self._rest(IDLE_SECS)
        elif (pause := (due.next_attempt_at - self._clock()).total_seconds()) > 0:
            # Something new must not overtake what waits for its next attempt, so only time ends this rest.
            await asyncio.sleep(min(pause, IDLE_SECS))
        else:
            await self._attempt(due)

    async def _rest(self, secs: float) -> None:
        try:
            async with asyncio.timeout(secs):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _attempt(self, due: Due) -> None:
        try:
            receipt = await self._sender.send(due.payload, due.control_id)
        except DeliveryError as error:
            await self._not_delivered(due, error)
            return
        at = self._clock()
        async with self._turn, self._connection.transaction():
            await outbox.delivered(self._connection, due, receipt, at)
            if due.about is not None:
                await self._close_request(due.about, at)
            if b"ORC" in receipt:
                await self._apply_order_answer(receipt, at)

    async def _close_request(self, about: str, at: datetime) -> None:
        """The requester's system has the report: the request at the centre is returned.

        Whatever is wrong with the request, the receipt stays: without it the report would be sent for ever.
        """
        try:
            async with self._connection.transaction():
                await self._return_request(about, at)
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001 - as said above
            code = error.code if isinstance(error, HutongError) else "request-not-closed"
            logger.error("request %s was not closed: %s\n%s", about, type(error).__name__, _places(error))
            finding = Finding(code, "A report was acknowledged, but its request could not be closed.")
            await findings.raise_many(self._connection, [findings.Raised(finding, about=about)], at)

    async def _apply_order_answer(self, receipt: bytes, at: datetime) -> None:
        """A receipt may be an order response; whatever is wrong with it, it stays a receipt."""
        try:
            async with self._connection.transaction():
                _, raised = await order_answers.apply(
                    self._connection,
                    hl7v2.parse(receipt),
                    endpoints=[self._endpoint.name],
                    facility=self._endpoint.facility,
                    envelope=None,
                    channel=None,
                    at=at,
                )
                await findings.raise_many(self._connection, raised, at)
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001 - as said above
            logger.error("an order response was not applied: %s\n%s", type(error).__name__, _places(error))

    async def _return_request(self, about: str, at: datetime) -> None:
        if not about.startswith("Task/"):
            return
        stored = (await records.read_many(self._connection, [about], for_update=True)).get(about)
        if stored is None or centres.facility_of(stored.body) != self._endpoint.facility:
            return  # a copy that a route sends elsewhere; only the requester's own receipt ends the request
        task = centres.returned(stored.body, at)
        await records.put_many(self._connection, [records.Change(task, actor=audit.SYSTEM)], at)
        await audit.write(self._connection, [audit.Audited(audit.SYSTEM, "returned", about)], at)

    async def _not_delivered(self, due: Due, error: DeliveryError) -> None:
        at = self._clock()
        async with self._turn, self._connection.transaction():
            if error.disposition is Disposition.RETRY:
                next_attempt_at = at + self._endpoint.retry.pause(due.attempts)
                await outbox.postponed(self._connection, due, error.code, error.message, next_attempt_at, at)
            else:
                await outbox.refused(self._connection, due, error.code, error.message, at)
                await findings.raise_many(self._connection, [_refused(due, error)], at)
        logger.warning("delivery %s to %s: %s", due.id, due.endpoint, error.code)


def _places(error: Exception) -> str:
    """Only places in our code: the text of an unexpected error may quote a patient."""
    return "".join(format_tb(error.__traceback__))


def _refused(due: Due, error: DeliveryError) -> findings.Raised:
    finding = Finding(
        "delivery-refused",
        f"{due.endpoint} refused delivery {due.id} ({error.code}). Mend the cause there, then send it again.",
        Severity.ERROR,
        error.location,
    )
    return findings.Raised(finding, about=due.about or f"Delivery/{due.id}")
