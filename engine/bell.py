"""How do workers learn that envelopes arrived? A notification shortly after a commit, one for many commits.

It is no part of the commit: a notification there wakes every listener of the database before the sender has its answer.
Workers also look by themselves once a second, so a bell that is lost costs a second and no message.
"""

from __future__ import annotations

import asyncio
import logging

from engine.errors import HutongError
from engine.store import journal
from engine.store.database import FAILED, Connection, connect, end_if_cancelled

logger = logging.getLogger(__name__)

GATHER_SECS = 0.005
"""What is committed within this time of a first commit is told of together."""


class Bell:
    """Rings for the pipeline, over a connection of its own."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._rung = asyncio.Event()
        self._ringing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._ringing = asyncio.create_task(self._ring_when_asked())

    def ring(self) -> None:
        self._rung.set()

    async def close(self) -> None:
        if self._ringing is not None:
            self._ringing.cancel()
            await asyncio.wait([self._ringing])

    async def _ring_when_asked(self) -> None:
        connection: Connection | None = None
        try:
            while True:
                await self._rung.wait()
                await asyncio.sleep(GATHER_SECS)
                self._rung.clear()
                try:
                    if connection is None or connection.is_closed():
                        connection = await connect(self._database_url)
                    await journal.tell(connection)
                except (*FAILED, HutongError) as error:
                    end_if_cancelled()
                    logger.info("the pipeline was not told and will look by itself: %s", type(error).__name__)
                    connection = None
        finally:
            if connection is not None:
                connection.terminate()
