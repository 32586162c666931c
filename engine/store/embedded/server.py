"""How is the embedded server started, watched and stopped?"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from urllib.parse import urlencode

from engine.errors import ConfigurationError, HutongError, StorageError
from engine.store.embedded import account as accounts
from engine.store.embedded import binaries, cluster, memory, process, settings, socket_folder
from engine.store.embedded.lock import POLL_SECS, FolderLock

log = logging.getLogger(__name__)

FAST_SHUTDOWN_SECS = 60.0
"""For the checkpoint of a fast shutdown; longer than that, and the journal's recovery is quicker than waiting."""
IMMEDIATE_SHUTDOWN_SECS = 10.0
TAKEOVER_SECS = 60.0
"""How long to wait for the server of a killed owner, which is shutting down."""
WORD_EVERY_SECS = 10.0
"""How often a long crash recovery says that it goes on."""
LARGEST_LOG_BYTES = 5_000_000


class EmbeddedPostgres:
    """A PostgreSQL server of our own on a folder.

    folder/cluster   PostgreSQL's data folder
    folder/lock      who uses it
    folder/log       what the server said; no values of patients

    `start` may be called from any thread, and again after the server died (`alive` says so); the address stays the
    same. The server ends with this process, however it ends: by the kernel's death signal, even after SIGKILL.
    Linux only, as that signal is.
    """

    def __init__(self, folder: Path, *, tuning: Mapping[str, str] | None = None) -> None:
        """`tuning` replaces settings such as shared_buffers; durability and access cannot be tuned."""
        self.folder = folder.absolute()
        self._cluster = self.folder / "cluster"
        self._tuning = dict(tuning or {})
        self._lock = FolderLock(self.folder / "lock")
        self._sockets = self._cluster
        self._child: process.Child | None = None
        self._owner = os.getpid()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The application's address: no secret in it, the kernel tells the server who is calling."""
        return self._address(cluster.APPLICATION)

    @property
    def administrator_url(self) -> str:
        """The superuser's address, for making further databases."""
        return self._address(cluster.ADMINISTRATOR)

    def _address(self, role: str) -> str:
        return f"postgresql://{role}@/{role}?{urlencode({'host': str(self._sockets), 'port': settings.PORT}, safe='/')}"

    @property
    def alive(self) -> bool:
        return self._child is not None and not self._child.ended

    def ended_within(self, secs: float) -> bool:
        """Waits for the server's end, for a supervisor that starts it again; True when it is not running."""
        return self._child is None or self._child.ended_within(secs)

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._child is None:
            raise StorageError("the embedded PostgreSQL is not running", location=str(self.folder))
        return self._child.pid

    def start(self) -> str:
        """Starts the server, makes the database at the first start, and returns `url` once it takes connections.

        Crash recovery is waited for as long as it takes. Raises ConfigurationError when the folder cannot be used
        (another version, in use, not ours, not writable), StorageError when the server ends while starting.
        """
        if self.alive:
            return self.url
        _refuse_other_systems()
        try:
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._lock.release()  # the processes of a server killed under us may hold it still
            self._lock.acquire(patience_secs=TAKEOVER_SECS)
        except OSError as error:
            raise _unusable(self.folder, error) from error
        try:
            self._launch()
        except OSError as error:
            self.stop()
            raise _unusable(self.folder, error) from error
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self.url

    def stop(self) -> None:
        """Ends the server and waits until it has gone. Stopping twice is fine."""
        if os.getpid() != self._owner:
            return  # a fork of the owner that comes to its end is not the owner's end
        atexit.unregister(self.stop)
        if self._child is not None:
            _end(self._child)
            left = cluster.status(self._cluster)  # a server that ended in order has removed its file
            if left.pid == self._child.pid and left.memory is not None:
                memory.remove(left.memory)
            self._child = None
        if self._sockets != self._cluster:
            with suppress(OSError):
                self._sockets.rmdir()
        self._lock.release()

    def _launch(self) -> None:
        cluster.refuse_foreign(self.folder, self._cluster)
        account = accounts.for_cluster(self._cluster)
        programs = binaries.for_account(account)
        if not self._cluster.exists():
            cluster.create(self._cluster, account, programs)
        cluster.close_to_others(self._cluster)
        cluster.settle_stale_pid(self._cluster)
        reachable = account.can("x", self._cluster)
        place = self._cluster if reachable else cluster.SELF
        if socket_folder.fits(self._cluster):
            self._sockets, listen = self._cluster, place
        else:
            self._sockets = listen = socket_folder.short(self._cluster, account)
        with _log_file(self.folder / "log") as output:
            said_before = os.fstat(output.fileno()).st_size
            self._child = process.start(
                [programs.postgres, "-D", place, *settings.arguments(place, listen, self._tuning)],
                account=account,
                folder=self._cluster,
                death_signal=signal.SIGINT,  # a fast shutdown
                output=output.fileno(),
                files=settings.access_files(
                    accounts.ourselves().name, application=cluster.APPLICATION, administrator=cluster.ADMINISTRATOR
                ),
                keep_open=[self._lock.descriptor],
            )
        self._await_ready(self._child, said_before)

    def _await_ready(self, child: process.Child, said_before: int) -> None:
        started = word = time.monotonic()
        while True:
            now = cluster.status(self._cluster)
            if now.pid == child.pid and now.status == "ready":
                return
            if child.ended_within(POLL_SECS):
                raise StorageError(
                    f"the embedded PostgreSQL ended while starting: {self._said_since(said_before)}",
                    location=str(self.folder / "log"),
                    code="postgres-start",
                )
            if time.monotonic() - word > WORD_EVERY_SECS:
                word = time.monotonic()
                log.warning(
                    "the database is still recovering from a crash (%d s): %s",
                    word - started,
                    self._said_since(said_before),
                )

    def _said_since(self, position: int) -> str:
        with open(self.folder / "log", "rb") as file:
            file.seek(position)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return " / ".join(lines[-5:]) or "it said nothing"


def _end(child: process.Child) -> None:
    for number, patience in (
        (signal.SIGINT, FAST_SHUTDOWN_SECS),
        (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_SECS),
        (signal.SIGKILL, IMMEDIATE_SHUTDOWN_SECS),
    ):
        child.send(number)
        if child.ended_within(patience):
            return
    raise StorageError(f"the embedded PostgreSQL (process {child.pid}) does not end", code="postgres-stop")


def _log_file(path: Path) -> BinaryIO:
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_suffix(".1"))
    return open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def _refuse_other_systems() -> None:
    if not Path("/proc/self/stat").exists():
        raise ConfigurationError(
            "the embedded PostgreSQL needs Linux: name a database in HUTONG_DATABASE_URL",
            code="postgres-not-installed",
        )


def _unusable(folder: Path, error: OSError) -> HutongError:
    where = error.filename if isinstance(error.filename, str) else str(folder)
    if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
        return ConfigurationError(
            f"the database folder cannot be used ({error.strerror}): choose another --data folder, or its rights",
            location=where,
            code="postgres-folder-unusable",
        )
    return StorageError(f"the database folder cannot be used ({error.strerror})", location=where)
