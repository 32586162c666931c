"""Who is using this database folder?

A lock on the file `lock`, held by the owner and inherited by the server and each of its processes: the kernel lets
go of it when the last of them has ended, so there is no stale lock. The file's content only says whom to name.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from uuid import uuid4

from engine.errors import ConfigurationError

POLL_SECS = 0.02


class FolderLock:
    """The right to run a server on a folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._nonce = uuid4().hex
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """For the server to inherit."""
        assert self._descriptor is not None, "not locked"
        return self._descriptor

    def acquire(self, *, patience_secs: float) -> None:
        """Waits as long as only the server of a dead owner is left, which is shutting down.

        Raises ConfigurationError at once when the owner lives, or when patience ends.
        """
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + patience_secs
        try:
            while not _locked(descriptor):
                holder = os.pread(descriptor, 200, 0).decode("ascii", "replace").split()
                if self._living(holder) or time.monotonic() > deadline:
                    raise _in_use(self._file.parent, holder)
                time.sleep(POLL_SECS)  # noqa: TID251 - flock can wait for ever or not at all, and not in between
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {_started_at(os.getpid())} {self._nonce}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _living(self, holder: list[str]) -> bool:
        """Whether another owner is at work; our own earlier server, killed under us, is not one."""
        if len(holder) != 3 or holder[2] == self._nonce:
            return False
        return holder[0].isdigit() and _started_at(int(holder[0])) == holder[1]


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _started_at(pid: int) -> str:
    """When a process started, in ticks since boot: its id alone is soon given to another. Empty: it runs no more.

    One that was killed and whose parent has not asked yet (Z in proc_pid_stat(5)) runs no more.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, started = fields[0], fields[19]  # fields 3 and 22: the first two are cut off above
    return "" if state in (b"Z", b"X") else started.decode()


def _in_use(folder: Path, holder: list[str]) -> ConfigurationError:
    who = f"by process {holder[0]}" if holder else "by another process"
    return ConfigurationError(
        f"the database folder is in use {who}: stop that hub, or choose another --data folder",
        location=str(folder),
        code="postgres-folder-in-use",
    )
