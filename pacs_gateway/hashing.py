"""What are the SHA-256 of objects that were answered? Worked out beside the senders, who go first, soon after."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from engine.clock import Clock
from engine.errors import StorageError
from pacs_gateway.receiving import Kept
from pacs_gateway.segments.digest import hashed

HURRY_BYTES = 256 * 1024 * 1024
"""With more than this waiting, hashing no longer steps back for senders: who sends without a pause has to wait too."""
HURRY_AFTER = timedelta(seconds=1)
"""What has waited for longer is not stepped back with either."""
STEP_BYTES = 16 * 1024 * 1024
"""Begun by a thread that steps back, and finished by it however long that takes."""
_STEP_BACK = 10

_log = logging.getLogger(__name__)


class Hashing:
    """Threads that hash, for one channel."""

    def __init__(self, channel: str, clock: Clock) -> None:
        self._clock = clock
        self._behind = ThreadPoolExecutor(1, f"dicom hash {channel}", initializer=_step_back)
        self._hurried = ThreadPoolExecutor(1, f"dicom hash {channel}")

    async def hashed(self, objects: Sequence[Kept], waiting_bytes: int) -> list[Kept]:
        """Those of the objects that could be read back, in their order, with their hashes.

        waiting_bytes  of all objects that wait, these among them
        """
        known: list[Kept] = []
        for step in _steps(objects):
            has_waited = self._clock() - step[0].received_at > HURRY_AFTER
            threads = self._hurried if has_waited or waiting_bytes > HURRY_BYTES else self._behind
            known += await asyncio.get_running_loop().run_in_executor(threads, _hashed, step)
        return known

    async def close(self) -> None:
        """What is being hashed is finished before."""
        for threads in (self._behind, self._hurried):
            await asyncio.to_thread(threads.shutdown)


def _steps(objects: Sequence[Kept]) -> Iterator[list[Kept]]:
    step: list[Kept] = []
    for kept in objects:
        step.append(kept)
        if sum(one.head.length for one in step) >= STEP_BYTES:
            yield step
            step = []
    if step:
        yield step


def _hashed(objects: Sequence[Kept]) -> list[Kept]:
    """Blocking. One that cannot be read back stays in the spool; the next start looks at it again."""
    known: list[Kept] = []
    for kept in objects:
        try:
            known.append(kept if kept.head.sha256 else replace(kept, head=hashed(kept.segment, kept.head)))
        except StorageError as error:
            _log.error("an object stays in the spool without an index row: %s", error.message)
    return known


def _step_back() -> None:
    """Has this thread run where others leave the processor idle."""
    if sys.platform == "linux":  # elsewhere the whole process would step back
        os.nice(_STEP_BACK)
