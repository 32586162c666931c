"""What are the SHA-256 of objects that were answered? Worked out beside the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.errors import StorageError
from pacs_gateway.receiving import Kept
from pacs_gateway.segments.digest import hashed

_log = logging.getLogger(__name__)


class Hashing:
    """The thread that hashes, for one channel."""

    def __init__(self, channel: str) -> None:
        self._thread = ThreadPoolExecutor(1, f"dicom hash {channel}")

    async def hashed(self, objects: Sequence[Kept]) -> list[Kept]:
        """Those of the objects that could be read back, in their order, with their hashes."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _hashed, objects)

    async def close(self) -> None:
        """What is being hashed is finished before."""
        await asyncio.to_thread(self._thread.shutdown)


def _hashed(objects: Sequence[Kept]) -> list[Kept]:
    """Blocking. One that cannot be read back stays in the spool; the next start looks at it again."""
    known: list[Kept] = []
    for kept in objects:
        try:
            known.append(kept if kept.head.sha256 else replace(kept, head=hashed(kept.segment, kept.head)))
        except StorageError as error:
            _log.error("an object stays in the spool without an index row: %s", error.message)
    return known
