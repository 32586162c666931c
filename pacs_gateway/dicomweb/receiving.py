"""What stands behind STOW-RS? A spool of this process, beside those of the listeners, and who tells of its studies.

Every DICOM channel is watched, because what is posted may be of a study that a modality began; a manifest that the
gateway's own process submits too is a repeat to the intake.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from engine.clock import Clock
from engine.config import DicomChannel
from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.keeping import Keeping
from pacs_gateway.notice import ManifestIntake, Noticer
from pacs_gateway.scp.reception import Reception


class Posted:
    """Keeps what is posted, as objects of the first channel."""

    def __init__(
        self,
        channels: Sequence[DicomChannel],
        pool: asyncpg.Pool,
        intake: ManifestIntake,
        objects: Path,
        clock: Clock,
    ) -> None:
        self._noticers = [Noticer(pool, intake, channel.name, channel.quiet_secs, clock) for channel in channels]
        self._keeping = Keeping(channels[0].name, pool, objects, clock, secrets.token_bytes, self._stored)

    @property
    def reception(self) -> Reception:
        return self._keeping.reception

    async def start(self) -> None:
        """Raises ConfigurationError and StorageError as the keeping of a channel does."""
        keep_libraries_discreet()
        await self._keeping.start()
        for noticer in self._noticers:
            noticer.start()

    async def settled(self) -> None:
        await self._keeping.settled()

    async def close(self) -> None:
        """What is not done yet is left to the next start."""
        await self._keeping.close()
        for noticer in self._noticers:
            await noticer.close()

    def _stored(self) -> None:
        for noticer in self._noticers:
            noticer.stored()
