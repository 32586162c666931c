"""How does what is owed arrive? Step 11 of the walk: each endpoint in its own order, until a receipt proves it.

A dead endpoint blocks only itself. A repeat sends the same bytes under the same MSH-10.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import asyncpg

from engine import centres
from engine.clock import Clock
from engine.config import Community, MllpEndpoint
from engine.errors import DeliveryError, Disposition, HutongError, RequestStateError
from engine.finding import Finding, Severity
from engine.ports import Sender
from engine.store import audit, findings, outbox, records
from engine.store.database import Connection, connect
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

    async def run(self) -> None:
        """Delivers until it is cancelled."""
        while True:
            try:
                await self._lead()
            except* (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, HutongError) as failed:
                logger.error("deliveries pause: %s", type(failed.exceptions[0]).__name__)
            await asyncio.sleep(_RECONNECT_SECS)

    async def _lead(self) -> None:
        connection = await connect(self._database_url)
        try:
            if not await outbox.lead(connection):
                await asyncio.sleep(IDLE_SECS)
                return
            wake = {name: asyncio.Event() for name in self._community.endpoints}

            def owed(*_: object) -> None:
                for event in wake.values():
                    event.set()

            await connection.add_listener(outbox.CHANNEL, owed)
            turn = asyncio.Lock()
            async with asyncio.TaskGroup() as couriers:
                for endpoint in self._community.endpoints.values():
                    courier = _Courier(
                        endpoint, self._make_sender(endpoint), connection, turn, wake[endpoint.name], self._clock
                    )
                    couriers.create_task(courier.run())
        finally:
            connection.terminate()


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
        finally:
            await self._sender.close()

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

    async def _close_request(self, about: str, at: datetime) -> None:
        """The requester's system has the report: the request at the centre is returned."""
        resource_type, resource_id = about.split("/", 1)
        stored = await records.read(self._connection, resource_type, resource_id)
        if stored is None or resource_type != "Task":
            return
        try:
            task = centres.returned(stored.body, at)
        except RequestStateError as error:
            finding = Finding(error.code, "A report was acknowledged, but its request could not be closed.")
            await findings.raise_many(self._connection, [findings.Raised(finding, about=about)], at)
            return
        await records.put_many(self._connection, [records.Change(task, actor=audit.SYSTEM)], at)
        await audit.write(self._connection, [audit.Audited(audit.SYSTEM, "returned", about)], at)

    async def _not_delivered(self, due: Due, error: DeliveryError) -> None:
        at = self._clock()
        async with self._turn, self._connection.transaction():
            if error.disposition is Disposition.RETRY:
                next_attempt_at = at + self._pause(due.attempts)
                await outbox.postponed(self._connection, due, error.code, error.message, next_attempt_at, at)
            else:
                await outbox.refused(self._connection, due, error.code, error.message, at)
                await findings.raise_many(self._connection, [_refused(due, error)], at)
        logger.warning("delivery %s to %s: %s", due.id, due.endpoint, error.code)

    def _pause(self, attempts: int) -> timedelta:
        retry = self._endpoint.retry
        return timedelta(seconds=min(retry.max_secs, retry.first_secs * retry.factor ** min(attempts, 64)))


def _refused(due: Due, error: DeliveryError) -> findings.Raised:
    finding = Finding(
        "delivery-refused",
        f"{due.endpoint} refused delivery {due.id} ({error.code}). Mend the cause there, then send it again.",
        Severity.ERROR,
        error.location,
    )
    return findings.Raised(finding, about=due.about or f"Delivery/{due.id}")
