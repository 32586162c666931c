"""May I rely on where segments are? While nobody moves one: who looks for something and who moves take turns.

    objects/spool/.lock

A process that starts takes a folder and moves what others left into it; meanwhile a file may be seen nowhere, and a
lock that is only looked at may be taken for that of a living process. Nothing of an object that arrives, is indexed or
leaves the spool waits for this.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"


@contextmanager
def looking(spools: Path) -> Iterator[None]:
    """Blocking. Segments of every channel stay where they are, under their names; others may look too. Raises OSError.

    spools  the folder of the channels' spools, which is there
    """
    with _locked(spools, fcntl.LOCK_SH):
        yield


@contextmanager
def moving(spools: Path) -> Iterator[None]:
    """Blocking. Nobody else looks or moves. Raises OSError."""
    with _locked(spools, fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(spools: Path, how: int) -> Iterator[None]:
    lock = os.open(spools / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)
