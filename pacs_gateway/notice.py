"""When does the engine hear of a study? Once it has been quiet, with a manifest of everything stored of it.

A study's row says how many of its instances the engine knows of, so a gateway that was killed goes on where it stopped.
Several processes watch one channel; one at a time tells of a study, so that none is submitted behind a newer one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import asyncpg

from engine.clock import Clock
from engine.errors import HutongError
from engine.ports import Accepted
from engine.store import availability, imaging, preparing, wholeness
from engine.store.database import FAILED, end_if_cancelled
from engine.store.imaging import Study
from pacs_gateway.background import Background
from pacs_gateway.manifest import manifest, patient_ids

BATCH = 50
RETRY_SECS = 2.0
"""After a failure of the database or the intake."""
LOOK_SECS = 2.0
"""Between two looks while nothing is stored: what people decide of a study is written by another process."""

_log = logging.getLogger(__name__)


class ManifestIntake(Protocol):
    """Takes a study manifest into the journal; durable on return. Raises StorageError when it could not be."""

    async def accept_manifest(
        self, *, channel: str, facility: str, peer: str, study_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted: ...


class Noticer:
    """Watches the studies of one channel."""

    def __init__(
        self, pool: asyncpg.Pool, intake: ManifestIntake, channel: str, quiet_secs: float, clock: Clock
    ) -> None:
        self._pool = pool
        self._intake = intake
        self._channel = channel
        self._quiet = timedelta(seconds=quiet_secs)
        self._clock = clock
        self._stored = asyncio.Event()
        self._background = Background(f"dicom noticer {channel}")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    def stored(self) -> None:
        """Something was added to some study."""
        self._stored.set()

    async def _run(self) -> None:
        while True:
            try:
                wait_secs = await self._notice_quiet_studies()
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                _log.warning("channel %s: studies wait to be noticed: %s", self._channel, type(error).__name__)
                wait_secs = RETRY_SECS
            if wait_secs is None:
                wait_secs = await self._something_stored()
            self._stored.clear()
            await asyncio.sleep(wait_secs)

    async def _something_stored(self) -> float:
        """Seconds until it may be told of; none when it is time to look whether somebody decided something."""
        try:
            async with asyncio.timeout(LOOK_SECS):
                await self._stored.wait()
        except TimeoutError:
            return 0.0
        return self._quiet.total_seconds()

    async def _notice_quiet_studies(self) -> float | None:
        """Seconds until the next study may be due; None when no study waits."""
        async with self._pool.acquire() as connection:
            quiet_since = self._clock() - self._quiet
            quiet = await imaging.unnoticed_studies(connection, self._channel, quiet_since, BATCH)
            told = [await self._notice(connection, study, quiet_since) for study in quiet]
            oldest = await imaging.oldest_unnoticed_at(connection, self._channel)
        if oldest is None:
            return None
        if quiet and not any(told):
            return LOOK_SECS  # other processes tell of what is left
        return max((oldest + self._quiet - self._clock()).total_seconds(), 0.0)

    async def _notice(self, connection: asyncpg.Connection, found: Study, quiet_since: datetime) -> bool:
        """Whether it was ours to tell of."""
        async with connection.transaction():
            study = await imaging.claim_unnoticed(connection, found, quiet_since)
            if study is None:
                return False
            instances = await imaging.study_instances(connection, study.uid, study.facility)
            late = await wholeness.late_instances(connection, study.uid, study.facility)
            await self._intake.accept_manifest(
                channel=self._channel,
                facility=study.facility,
                peer=study.peer,
                study_uid=study.uid,
                patient_ids=patient_ids(instances),
                payload=manifest(study.uid, study.facility, instances, late, study.statements),
            )
            await imaging.mark_noticed(connection, study)
            await preparing.changed(connection, study.uid, self._clock())
            await availability.changed(connection, study.uid, study.facility, self._channel)
            await wholeness.noticed(connection, study.uid, study.facility, self._channel, self._clock())
        return True
