"""What stands behind STOW-RS? A spool of this process, beside those of the listeners, and who tells of its studies.

Every DICOM channel is watched, because what is posted may be of a study that a modality began; the gateways' own
processes watch it too, and one at a time tells of a study.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from engine.clock import Clock
from engine.config import DicomChannel
from engine.ports import ObjectStore
from pacs_gateway.notice import ManifestIntake, Noticer
from pacs_gateway.scp.reception import Reception
from pacs_gateway.segments.spool import is_left_behind

if TYPE_CHECKING:
    from pacs_gateway.keeping import Keeping


class Posted:
    """Keeps what is posted, as objects of the first channel.

    Nothing of it is loaded before the first object comes: a hub that none is posted to needs 60 MB less. `store` is
    where finished objects go, if not into the object folder.
    """

    def __init__(
        self,
        channels: Sequence[DicomChannel],
        pool: asyncpg.Pool,
        intake: ManifestIntake,
        objects: Path,
        clock: Clock,
        store: ObjectStore | None = None,
    ) -> None:
        self._channel = channels[0].name
        self._noticers = [Noticer(pool, intake, channel.name, channel.quiet_secs, clock) for channel in channels]
        self._pool = pool
        self._objects = objects
        self._clock = clock
        self._store = store
        self._starting = asyncio.Lock()
        self._keeping: Keeping | None = None

    async def start(self) -> None:
        """Settles what an earlier process left, if it left anything. Raises as `reception` does."""
        if await asyncio.to_thread(is_left_behind, self._objects, self._channel):
            await self._kept()

    async def reception(self) -> Reception:
        """Raises ConfigurationError and StorageError as the keeping of a channel does when it starts."""
        return (await self._kept()).reception

    async def settled(self) -> bool:
        """Returns when what was answered until now is in the index, or cannot be for now; and which of both it is."""
        return self._keeping is None or await self._keeping.settled()

    async def close(self) -> None:
        """What is not done yet is left to the next start."""
        if self._keeping is not None:
            await self._keeping.close()
        for noticer in self._noticers:
            await noticer.close()

    async def _kept(self) -> Keeping:
        async with self._starting:
            if self._keeping is None:
                from pacs_gateway.discretion import keep_libraries_discreet
                from pacs_gateway.keeping import Keeping

                keep_libraries_discreet()
                keeping = Keeping(
                    self._channel,
                    self._pool,
                    self._objects,
                    self._clock,
                    secrets.token_bytes,
                    self._stored,
                    store=self._store,
                )
                try:
                    await keeping.start()
                except BaseException:
                    await keeping.close()  # else nobody takes what it has found while this process lives
                    raise
                for noticer in self._noticers:
                    noticer.start()
                self._keeping = keeping
        return self._keeping

    def _stored(self) -> None:
        for noticer in self._noticers:
            noticer.stored()
