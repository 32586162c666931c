"""How may one attempt end? Done, refused in part, to be tried again, or paused until the system may be sent to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from engine.errors import DeliveryError
from engine.store.database import Connection
from engine.store.findings import Raised


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt.

    said      the receipt, as JSON
    refused   why part of it was refused for good; empty when nothing was
    again     why it must be tried again; None when it must not
    progress  whether anything was done, so that the next attempt need not wait for long
    paused    whether it stopped because the system may not be sent to now
    """

    said: str
    refused: str = ""
    again: DeliveryError | None = None
    progress: bool = False
    paused: bool = False
    raised: list[Raised] = field(default_factory=list)


class Turns:
    """The one connection that leads, used by one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Begun whole or not at all: where a beginning is cancelled, asyncpg takes the connection to be in it for ever.

        Whatever others wrote after it would be inside, and never be committed.
        """
        async with self._lock:
            transaction = self._connection.transaction()
            beginning = asyncio.create_task(transaction.start())
            try:
                await asyncio.shield(beginning)
                yield self._connection
            except BaseException:
                await beginning  # where it failed, that is the error, and there is nothing to take back
                await transaction.rollback()
                raise
            await transaction.commit()
