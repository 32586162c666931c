"""How do files in a folder come in? Each that has stopped growing is read, handed to the intake, and moved aside.

A file stays where it is until every message in it is durable. After a crash it is read again, and the intake knows the
messages it has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from adapters.folder.content import payloads, refused
from adapters.folder.shelf import Candidate, Shelf
from engine.ports import Intake

_log = logging.getLogger(__name__)

POLL_SECS = 1.0
"""Folders are often network shares, which tell nobody of a new file."""
WINDOW = 128
"""Messages of one file between reading and acknowledgment: a large file must not fill the memory of the intake."""
_FIRST_PAUSE_SECS = 1.0
_LONGEST_PAUSE_SECS = 60.0


class FolderReceiver:
    """Takes the files of one folder, the oldest first, one at a time: their order is the order of events."""

    def __init__(self, channel_name: str, shelf: Shelf, intake: Intake) -> None:
        self._channel_name = channel_name
        self._shelf = shelf
        self._intake = intake
        self._task: asyncio.Task[None] | None = None
        self._unreachable = False

    def start(self) -> None:
        """Begins to watch. A folder that cannot be used now, such as a share that is away, is tried again."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stops; a file that is half handed over stays and is read again at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        pause = _FIRST_PAUSE_SECS
        while True:
            if await self._take_all():
                pause = _FIRST_PAUSE_SECS
                await asyncio.sleep(POLL_SECS)
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECS)

    async def _take_all(self) -> bool:
        """Takes every file that is ready; False when something stands in the way of all of them."""
        loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(self._shelf.prepare)
            for candidate in await asyncio.to_thread(self._shelf.ready, loop.time()):
                if not await self._take_or_reject(candidate):
                    return False
        except OSError as error:
            if not self._unreachable:
                _log.error("channel %s: the folder cannot be used: %s", self._channel_name, error.strerror)
            self._unreachable = True
            return False
        if self._unreachable:
            _log.warning("channel %s: the folder can be used again", self._channel_name)
            self._unreachable = False
        return True

    async def _take_or_reject(self, candidate: Candidate) -> bool:
        try:
            return await self._take(candidate)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one file does to us, the others must not wait behind it
            _log.error("channel %s: a file was moved to rejected: %s", self._channel_name, type(error).__name__)
            await asyncio.to_thread(self._shelf.reject, candidate, f"reading it failed with {type(error).__name__}")
            return True

    async def _take(self, candidate: Candidate) -> bool:
        """Hands one file over; True when it needs no further attention."""
        if candidate.too_large:
            await asyncio.to_thread(self._shelf.reject, candidate, "the file is larger than max_file_bytes")
            _log.warning("channel %s: a file is too large and was moved to rejected", self._channel_name)
            return True
        try:
            content = await asyncio.to_thread(candidate.path.read_bytes)
        except FileNotFoundError:
            return True  # its writer took it away again
        found = await asyncio.to_thread(payloads, content)
        # Without a message the content itself is handed over: the intake keeps it, and a finding tells of it.
        answers = await self._hand_over(candidate.path, found or [content])
        if answers is None:
            _log.warning("channel %s: a file waits, because messages are not persisted", self._channel_name)
            return False
        if await asyncio.to_thread(candidate.has_changed):
            return True  # another of its name was written meanwhile, and is taken when it has settled
        if refused(answers):
            await asyncio.to_thread(self._shelf.reject, candidate, "it holds no HL7 v2 message that can be taken")
            _log.warning("channel %s: a file was refused and moved to rejected", self._channel_name)
        else:
            await asyncio.to_thread(self._shelf.finish, candidate, answers)
        return True

    async def _hand_over(self, path: Path, found: Sequence[bytes]) -> list[bytes] | None:
        """The acknowledgments, in the order of the file; None when one was not persisted."""
        answers: list[bytes] = []
        for first in range(0, len(found), WINDOW):
            waiting = [self._submitted(path, payload) for payload in found[first : first + WINDOW]]
            for answer in await asyncio.gather(*waiting):
                if answer is None:
                    return None
                answers.append(answer)
        return answers

    def _submitted(self, path: Path, payload: bytes) -> asyncio.Future[bytes | None]:
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def done(answer: bytes | None) -> None:
            if not answered.done():
                answered.set_result(answer)

        self._intake.submit(self._channel_name, f"file {path.name}"[:200], payload, done)
        return answered
