"""When must something remembered be forgotten? One connection that hears which tables changed, for all memories.

Triggers tell of rows that were updated or deleted; rows that are only ever added change nothing that was read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from engine.errors import HutongError
from engine.store.database import FAILED, connect, end_if_cancelled
from engine.store.remembered import Remembered

ACCESS_TOKEN = "access_token_changed"
INSTANCE = "instance_changed"

_LISTEN_AGAIN_SECS = 1.0

_log = logging.getLogger(__name__)


class Changes:
    """`memories` by the notification that makes them forget."""

    def __init__(self, database_url: str, memories: Sequence[tuple[str, Remembered[Any, Any]]]) -> None:
        self._database_url = database_url
        self._memories = memories
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._listening = asyncio.create_task(self._listen(), name="changes")

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.info("nothing is remembered while the database is away: %s", type(error).__name__)
            await asyncio.sleep(_LISTEN_AGAIN_SECS)

    async def _listen_once(self) -> None:
        """Returns when the connection is lost."""
        lost = asyncio.Event()
        connection = await connect(self._database_url)
        try:
            connection.add_termination_listener(lambda _: lost.set())
            for notification in dict.fromkeys(notification for notification, _ in self._memories):
                await connection.add_listener(notification, self._heard)
            self._trust(True)
            await lost.wait()
        finally:
            self._trust(False)
            connection.terminate()

    def _heard(self, _connection: object, _pid: int, notification: str, _payload: object) -> None:
        for about, memory in self._memories:
            if about == notification:
                memory.forget()

    def _trust(self, trusted: bool) -> None:
        for _, memory in self._memories:
            memory.trust(trusted)
