"""Which process sends what imaging systems are owed? The one that leads, with workers for each system."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from engine.clock import Clock
from engine.config import DicomEndpoint
from engine.errors import HutongError, StorageError
from engine.store import imaging_outbox, outbox
from engine.store.database import FAILED, connect, end_if_cancelled
from pacs_gateway.sending.courier import IDLE_SECS, Courier, Errand, StudyEndpoint
from pacs_gateway.sending.outcome import Turns

_RECONNECT_SECS = 0.5

_log = logging.getLogger(__name__)


class ImagingCouriers:
    """Sends studies and asks archives. `errands` are those of each endpoint, by its name."""

    def __init__(
        self, database_url: str, endpoints: Mapping[str, StudyEndpoint], errands: Mapping[str, Errand], clock: Clock
    ) -> None:
        self._database_url = database_url
        self._endpoints = endpoints
        self._errands = errands
        self._clock = clock
        self._paused = False

    async def run(self) -> None:
        """Sends until it is cancelled; a lost database is told of once."""
        if not self._endpoints:
            await asyncio.Event().wait()  # and no connection is kept for nothing
        while True:
            try:
                # In a task of its own: a TaskGroup of Python 3.11 may leave its task marked as cancelled.
                await asyncio.create_task(self._lead())
            except* (*FAILED, HutongError) as failed:
                if not self._paused:
                    _log.error("sending of studies pauses: %s", type(failed.exceptions[0]).__name__)
                self._paused = True
            end_if_cancelled()
            await asyncio.sleep(_RECONNECT_SECS)

    async def _lead(self) -> None:
        """Waits for the lead and sends until the connection that holds it is lost."""
        connection = await connect(self._database_url)
        try:
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _: gone.set())
            # Asked again and again, because a statement that waits would keep old rows from being vacuumed meanwhile.
            while not await imaging_outbox.lead(connection):  # noqa: ASYNC110
                await asyncio.sleep(IDLE_SECS)
            owed = asyncio.Event()

            def wake(*_: object) -> None:
                owed.set()
                owed.clear()

            await connection.add_listener(outbox.CHANNEL, wake)
            self._paused = False
            turns = Turns(connection)
            async with asyncio.TaskGroup() as workers:
                workers.create_task(_end_with(gone))
                for name, endpoint in self._endpoints.items():
                    courier = Courier(endpoint, self._errands[name], turns, owed, self._clock)
                    for _ in range(endpoint.max_associations if isinstance(endpoint, DicomEndpoint) else 1):
                        workers.create_task(courier.work())
                    workers.create_task(courier.work(asks=True))
        finally:
            connection.terminate()


async def _end_with(gone: asyncio.Event) -> None:
    """Without the lock somebody else may send by now, so nothing is begun on the strength of it any more."""
    await gone.wait()
    raise StorageError("the connection that held the lead is lost")
