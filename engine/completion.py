"""Who makes what was recorded by earlier versions searchable as today? One of the processes, beside its work.

A resource is found by tokens that stand in its row. When a version of hutong finds more (a type by its patient, say),
rows that were written before lack tokens. They are looked through once after the upgrade, slowly, and from where it was
left off when the hub stops meanwhile. Nobody has to ask for it.
"""

from __future__ import annotations

import asyncio
import logging

from engine.clock import Clock
from engine.errors import HutongError
from engine.store import completing
from engine.store.database import FAILED, Connection, connect, end_if_cancelled

logger = logging.getLogger(__name__)

PORTION = 50
"""Rows at a time: some ten milliseconds, which the process's own work waits."""
PAUSE_SECS = 0.05
"""Between portions: a million rows take some twenty minutes, and a fraction of one core."""
OTHERS_SECS = 60.0
"""How long another process is trusted to be at it."""


class Completion:
    def __init__(self, database_url: str, clock: Clock) -> None:
        self._database_url = database_url
        self._clock = clock

    async def run(self) -> None:
        """Returns when every row is searchable as today; goes on after a lost connection."""
        while True:
            try:
                connection = await connect(self._database_url)
                try:
                    if await self._is_done(connection):
                        return
                finally:
                    connection.terminate()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                logger.info("older rows are completed later: %s", type(error).__name__)
            await asyncio.sleep(OTHERS_SECS)

    async def _is_done(self, connection: Connection) -> bool:
        """False where another process is at work."""
        place = await completing.left_off(connection)
        if place is None:
            return True
        if not await completing.take(connection):
            return False
        place = await completing.left_off(connection)
        while place is not None:
            place = await completing.complete(connection, place, PORTION, self._clock())
            await asyncio.sleep(PAUSE_SECS)
        return True
