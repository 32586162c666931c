"""When is metadata made that nobody has asked for yet? Once a study has been quiet, a little at a time.

By the web side, beside what it answers. Which studies are left to do stands in the database, so a process that was
killed leaves them to the next; what is not done when somebody asks is made for them.
"""

from __future__ import annotations

import asyncio
import logging

import asyncpg

from engine.errors import HutongError
from engine.store import as_sent, imaging_reading, preparing
from engine.store.database import FAILED, end_if_cancelled
from engine.store.preparing import ToPrepare
from pacs_gateway.background import Background
from pacs_gateway.dicomweb.metadata import Documents

LOOK_SECS = 2.0
BATCH = 20
_NOBODY = ""
"""A facility that has nothing of its own."""

_log = logging.getLogger(__name__)


class Preparing:
    """Works through the studies that changed, one after another."""

    def __init__(self, pool: asyncpg.Pool, documents: Documents) -> None:
        self._pool = pool
        self._documents = documents
        self._background = Background("dicomweb preparing")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    async def _run(self) -> None:
        while True:
            try:
                done = await self._some()
            except FAILED as error:
                end_if_cancelled()
                _log.info("metadata wait to be prepared: %s", type(error).__name__)
                done = 0
            if not done:
                await asyncio.sleep(LOOK_SECS)

    async def _some(self) -> int:
        async with self._pool.acquire() as connection:
            studies = await preparing.waiting(connection, BATCH)
        for study in studies:
            await self._prepare(study)
        return len(studies)

    async def _prepare(self, study: ToPrepare) -> None:
        async with self._pool.acquire() as connection:
            facilities = await as_sent.facilities_of(connection, study.study_uid)
            seers = facilities if len(facilities) == 1 else [*facilities, _NOBODY]
            views = [await imaging_reading.of_study(connection, seer, study.study_uid) for seer in seers]
        try:
            await self._documents.prepare(study.study_uid, views)
        except HutongError as error:
            _log.info("metadata of a study are left to who asks for them: %s", error.message)
        async with self._pool.acquire() as connection:
            await preparing.prepared(connection, study)
