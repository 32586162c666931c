"""When does the engine hear of a performed step? Soon after the modality told of it, and surely.

A step's row says how much of it the engine knows, so a gateway that was killed goes on where it stopped. Several
processes serve one channel; one at a time tells of a step, so that nothing is submitted behind what is newer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import asyncpg

from engine.errors import HutongError
from engine.ports import Accepted
from engine.steps import written
from engine.store import performed_steps
from engine.store.database import FAILED, end_if_cancelled
from engine.store.performed_steps import Unnoticed
from pacs_gateway.background import Background

BATCH = 50
RETRY_SECS = 2.0
"""After a failure of the database or the intake."""
LOOK_SECS = 2.0
"""Between two looks while nothing is told: an order that came after its step is linked by another process."""

_log = logging.getLogger(__name__)


class StepIntake(Protocol):
    """Takes what is known of a step into the journal; durable on return. Raises StorageError when it could not be."""

    async def accept_step(
        self, *, channel: str, facility: str, peer: str, step_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted: ...


class StepNoticer:
    """Tells of the steps of one channel."""

    def __init__(self, pool: asyncpg.Pool, intake: StepIntake, channel: str) -> None:
        self._pool = pool
        self._intake = intake
        self._channel = channel
        self._told = asyncio.Event()
        self._background = Background(f"dicom steps {channel}")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    def told(self) -> None:
        """Something was said of some step."""
        self._told.set()

    async def _run(self) -> None:
        while True:
            self._told.clear()
            try:
                if await self._notice():
                    continue
                await self._something_said()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("channel %s: steps wait to be noticed: %s", self._channel, type(error).__name__)
                await asyncio.sleep(RETRY_SECS)

    async def _something_said(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECS):
                await self._told.wait()

    async def _notice(self) -> int:
        """How many were ours to tell of; not more than BATCH."""
        async with self._pool.acquire() as connection:
            found = await performed_steps.unnoticed(connection, self._channel, BATCH)
            return sum([await self._tell(connection, one) for one in found])

    async def _tell(self, connection: asyncpg.Connection, found: Unnoticed) -> bool:
        async with connection.transaction():
            one = await performed_steps.claim_unnoticed(connection, found)
            if one is None:
                return False
            step = one.step
            await self._intake.accept_step(
                channel=one.channel,
                facility=step.facility,
                peer=one.peer,
                step_uid=step.uid,
                patient_ids=[step.patient_id] if step.patient_id else [],
                payload=written(step),
            )
            await performed_steps.mark_noticed(connection, one)
        return True
