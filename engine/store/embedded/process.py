"""How is one of PostgreSQL's programs run under its account, tied to the life of this process?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import StorageError
from engine.store.embedded import launch
from engine.store.embedded.account import Account

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""All a program sees: no PGDATA, PGPORT or PGOPTIONS of the surroundings."""


class Child:
    """A running program.

    The kernel's death signal is tied to the *thread* that forked, not to the process: a server started from a
    short-lived worker thread would be stopped when that thread returned. So each child has a thread of its own, which
    starts it and stays until it has ended.
    """

    def __init__(self, command: Sequence[str], **options: object) -> None:
        self._command = list(command)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._keep, name="postgres-keeper", daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise StorageError(f"cannot start {self._command[0]}: {self._failure.strerror}") from self._failure

    def _keep(self) -> None:
        try:
            self._process = subprocess.Popen(self._command, **self._options)  # type: ignore[call-overload] # passed through
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        self._process.wait()
        self._ended.set()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "a child that could not be started raises in its constructor"
        return self._process

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def ended_within(self, secs: float) -> bool:
        return self._ended.wait(secs)

    def wait(self) -> int:
        """Its exit code, once it has ended; minus the number of a signal."""
        self._ended.wait()
        return self._running.wait()

    def send(self, number: signal.Signals) -> None:
        self._running.send_signal(number)


def start(
    program: Sequence[str | Path],
    *,
    account: Account,
    folder: Path,
    death_signal: signal.Signals,
    output: int,
    input: int = subprocess.DEVNULL,
    files: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> Child:
    """Starts a program in a session of its own, so that Ctrl-C on the terminal reaches only its owner.

    `output` receives standard output and error; `keep_open` are descriptors that the program inherits.
    """
    request = {
        "owner": os.getpid(),
        "death_signal": int(death_signal),
        "uid": None if account.is_ours else account.uid,
        "gid": None if account.is_ours else account.gid,
        "folder": str(folder),
        "files": dict(files or {}),
        "program": [str(word) for word in program],
    }
    return Child(
        [sys.executable, "-I", "-S", launch.__file__, json.dumps(request)],
        stdin=input,
        stdout=output,
        stderr=output,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
        pass_fds=tuple(keep_open),
    )
