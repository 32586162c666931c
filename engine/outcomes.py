"""How does a sender that waits for processing get its answer? By the outcome of its envelope, once there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from engine.errors import HutongError
from engine.ports import OnDone
from engine.store import inbox
from engine.store.database import FAILED, Connection, connect, end_if_cancelled

logger = logging.getLogger(__name__)

OUTCOME_SECS = 60.0
"""How long a sender is left without an answer that waits for processing: what it waits behind may take days."""
_LISTEN_AGAIN_SECS = 0.2


@dataclass(slots=True)
class _Awaited:
    """A sender that waits for the outcome of its message."""

    on_done: OnDone
    give_up: asyncio.TimerHandle


class Outcomes:
    """Senders of channels that acknowledge when processed, and the connection that hears of outcomes."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._listening: asyncio.Task[None] | None = None
        self._awaiting: dict[UUID, list[_Awaited]] = {}
        self._to_ask: set[UUID] = set()
        self._ask = asyncio.Event()

    def start(self) -> None:
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """Nobody who still waits is answered."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        for envelope in list(self._awaiting):
            self._answer(envelope, None)

    def wait_for(self, envelope: UUID, on_done: OnDone) -> None:
        """Calls on_done with the reply once the envelope has ended; with None when that takes too long."""
        if self._listening is None:
            self.start()  # nobody waited before
        give_up = asyncio.get_running_loop().call_later(OUTCOME_SECS, self._give_up, envelope, on_done)
        self._awaiting.setdefault(envelope, []).append(_Awaited(on_done, give_up))
        self._ask_for([envelope])  # it may have ended before we listened for it

    def _give_up(self, envelope: UUID, on_done: OnDone) -> None:
        """The envelope stays accepted; its sender will send again, and be answered as a repeat once it has ended."""
        left = [awaited for awaited in self._awaiting.pop(envelope) if awaited.on_done is not on_done]
        if left:
            self._awaiting[envelope] = left
        on_done(None)

    def _on_outcome(self, _connection: object, _pid: int, _channel: str, envelope: object) -> None:
        self._ask_for({UUID(str(envelope))} & self._awaiting.keys())

    def _ask_for(self, envelopes: Iterable[UUID]) -> None:
        self._to_ask.update(envelopes)
        self._ask.set()

    async def _listen(self) -> None:
        """Answers what has ended until it is cancelled; what ended while nobody listened is asked for afterwards."""
        while True:
            try:
                connection = await connect(self._database_url)
                try:
                    await connection.add_listener(inbox.CHANNEL, self._on_outcome)
                    connection.add_termination_listener(lambda _: self._ask.set())
                    self._ask_for(self._awaiting)
                    await self._answer_what_ended(connection)
                finally:
                    connection.terminate()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                logger.info("answers that wait for processing wait for the database: %s", type(error).__name__)
                await asyncio.sleep(_LISTEN_AGAIN_SECS)

    async def _answer_what_ended(self, connection: Connection) -> None:
        while True:
            await self._ask.wait()
            self._ask.clear()
            asked, self._to_ask = self._to_ask, set()
            for envelope, reply in (await inbox.replies_of(connection, asked)).items():
                self._answer(envelope, reply)

    def _answer(self, envelope: UUID, reply: bytes | None) -> None:
        for awaited in self._awaiting.pop(envelope, ()):
            awaited.give_up.cancel()
            awaited.on_done(reply)
