"""Which of a channel's processes live and settle what was asked of them? Each that does holds a lock in its folder.

    objects/spool/<channel>/<number>/.settles

The lock of the folder itself does not tell: who keeps what is posted has one too, under a number that a listener may
have had before.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from pathlib import Path

from engine.errors import StorageError

_LOCK = ".settles"


class Presence:
    """That of one process, which has its numbered folder."""

    def __init__(self, objects: Path, channel: str) -> None:
        self._folder = objects / "spool" / channel
        self._lock: int | None = None

    def begin(self, number: int) -> None:
        """Blocking. From now on this process settles what was asked of its number. Raises StorageError."""
        try:
            self._lock = os.open(self._folder / str(number) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)  # at most a look of others is waited for
        except OSError as error:
            raise StorageError(f"the folder of this process cannot be locked: {error.strerror}") from error

    def end(self) -> None:
        """Others settle what is left."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def ended(self, numbers: Collection[int]) -> set[int]:
        """Blocking. Those of these numbers that no living process settles for. Raises StorageError."""
        try:
            return {number for number in numbers if not self._settles(number)}
        except OSError as error:
            raise StorageError(f"the folders of others cannot be looked at: {error.strerror}") from error

    def _settles(self, number: int) -> bool:
        try:
            lock = os.open(self._folder / str(number) / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False
