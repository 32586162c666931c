"""May I rely on where segments are? While nobody moves one: who looks for something and who moves take turns.

    objects/spool/.lock
    objects/spool/.next    held by whoever waits for the other

A process that starts takes a folder and moves what others left into it; meanwhile a file may be seen nowhere, and a
lock that is only looked at may be taken for that of a living process. However many look, one behind the other, who
starts is the next. Nothing of an object that arrives, is indexed or leaves the spool waits for this.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"
_NEXT = ".next"


@contextmanager
def looking(spools: Path) -> Iterator[None]:
    """Blocking. Segments of every channel stay where they are, under their names; others may look too. Raises OSError.

    spools  the folder of the channels' spools, which is there
    """
    with _turn(spools, fcntl.LOCK_SH):
        yield


@contextmanager
def moving(spools: Path) -> Iterator[None]:
    """Blocking. Nobody else looks or moves. Raises OSError."""
    with _turn(spools, fcntl.LOCK_EX):
        yield


@contextmanager
def _turn(spools: Path, how: int) -> Iterator[None]:
    turn = _opened(spools / _LOCK)
    try:
        following = _opened(spools / _NEXT)
        try:
            fcntl.flock(following, fcntl.LOCK_EX)
            fcntl.flock(turn, how)
        finally:
            os.close(following)
        yield
    finally:
        os.close(turn)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
