"""How is a hub kept running? Starts its processes, starts again what dies, and ends everything together."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console

from engine.cli.dicom_sockets import DicomSockets
from engine.cli.process import PORTS
from engine.errors import ConfigurationError, HutongError, StorageError
from engine.store.embedded import EmbeddedPostgres

RUN_FILE = "run.json"
STARTING_FILE = "starting.pid"
"""Stands in the data folder from the beginning of a start until run.json does: commands wait for it."""
START_SECS = 60.0
RESTART_SECS = 600.0
"""For a process that is started again: it may first have to enter what was answered before into the index."""
STOP_SECS = 10.0
FIRST_PAUSE_SECS = 0.1
LONGEST_PAUSE_SECS = 10.0
STEADY_SECS = 10.0
"""What ran for this long is in order: if it ends, that is no reason to wait."""
_TICK_SECS = 0.2
_TOLD = frozenset({"http", "http_certificate", "mllp", "dicom"})
"""What stands in run.json of what the processes say."""


class _Restarts:
    """When may something that died be started again? At once; then, while it does not hold out, with growing pauses."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failures = 0
        self._started_at = time.monotonic()
        self._start_at: float | None = None

    def due(self) -> bool:
        """Asked again and again while it is dead."""
        now = time.monotonic()
        if self._start_at is None:
            self._failures = 0 if now - self._started_at > STEADY_SECS else self._failures + 1
            pause = min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2 ** (self._failures - 1)) if self._failures else 0.0
            self._start_at = now + pause
            _say(f"{self._what} ended and is started again")
        if now < self._start_at:
            return False
        self._start_at = None
        return True

    def started(self) -> None:
        """A start was tried, whatever came of it."""
        self._started_at = time.monotonic()


class _Process:
    """One process of the hub: its role, what it shares with others, and what it said it listens on."""

    def __init__(self, role: str, shared: DicomSockets | None = None) -> None:
        self.role = role
        self._shared = shared
        self.ready: dict[str, Any] = {}
        self.child: subprocess.Popen[str] | None = None
        self.is_starting = False
        self._started_at = 0.0
        self.restarts = _Restarts(role)

    def start(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        handed = self._shared.handed if self._shared is not None else {}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "engine.cli.process", self.role, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, PORTS: json.dumps(self.ready | handed)},
            pass_fds=self._shared.numbers if self._shared is not None else (),
            start_new_session=True,  # a Ctrl-C in the terminal reaches the supervisor, which ends them in order
        )
        self.is_starting = True
        self._started_at = time.monotonic()

    def is_ready(self, at_most_secs: float, wait_secs: float = 0.0) -> bool:
        """Whether it has said what it listens on; it is asked again until then.

        Raises ConfigurationError with what the process said when it did not start, StorageError when it has taken more
        than at_most_secs since it was started.
        """
        assert self.child is not None
        assert self.child.stdout is not None
        if not select.select([self.child.stdout], [], [], wait_secs)[0]:
            if time.monotonic() - self._started_at > at_most_secs:
                raise StorageError(f"{self.role} did not start within {at_most_secs:.0f} s")
            return False
        line = self.child.stdout.readline()
        said: dict[str, Any] = json.loads(line) if line else {"failed": f"{self.role} ended while starting"}
        if "failed" in said:
            raise ConfigurationError(said["failed"], code="not-started")
        self.ready = said
        self.is_starting = False
        return True

    def give_up(self) -> None:
        """Ends a process that is not ready: one that hangs would be taken for one that works."""
        self.is_starting = False
        if self.child is not None:
            self.child.kill()
            self.child.wait()

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None


class Supervisor:
    """Owns the processes of one hub. Use it as a context: on leaving, nothing is left running.

    roles  one for each process, in the order of their start
    dicom  what the gateway processes listen at
    """

    def __init__(
        self, folder: Path, data: Path, roles: Sequence[str], database_url: str | None, dicom: DicomSockets
    ) -> None:
        self._arguments = [str(folder), str(data)]
        self._folder = folder
        self._data = data
        self._dicom = dicom
        self._processes = [_Process(role, dicom if role == "gateway" else None) for role in roles]
        self._database_url = database_url
        self._postgres: EmbeddedPostgres | None = None
        self._postgres_restarts = _Restarts("PostgreSQL")
        self._stopping = Event()
        self._told = False

    def __enter__(self) -> Supervisor:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end()

    def stop(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Ends `watch`; a signal handler."""
        self._stopping.set()

    def started(self) -> dict[str, Any]:
        """What stands in run.json."""
        run: dict[str, Any] = {"pid": os.getpid(), "config": str(self._folder.absolute())}
        for process in self._processes:
            run |= {key: value for key, value in process.ready.items() if key in _TOLD}
        return run

    def watch(self) -> None:
        """Starts again what dies, until `stop`."""
        while not self._stopping.wait(_TICK_SECS):
            self._revive_postgres()
            for process in self._processes:
                if process.is_starting:
                    self._look_at(process)
                elif not process.alive and process.restarts.due():
                    process.start(self._arguments, self._environment())

    def _start(self) -> None:
        (self._data / STARTING_FILE).write_text(f"{os.getpid()}\n", encoding="ascii")
        if self._database_url is None:
            self._postgres = EmbeddedPostgres(self._data / "postgres")
            self._database_url = self._postgres.start()
        prepare = _Process("prepare")
        prepare.start(self._arguments, self._environment())
        assert prepare.child is not None
        said, _ = prepare.child.communicate(timeout=None)
        if prepare.child.returncode:
            failed = json.loads(said)["failed"] if said else "the database could not be prepared"
            if self._postgres is None:
                failed += "; look at HUTONG_DATABASE_URL and that server, or unset it to use the embedded one"
            raise ConfigurationError(failed, code="not-prepared")
        self._dicom.open()
        for process in self._processes:
            process.start(self._arguments, self._environment())
        for process in self._processes:
            while not process.is_ready(START_SECS, _TICK_SECS):
                if self._stopping.is_set():
                    return
        self._write_run_file()

    def _environment(self) -> dict[str, str]:
        assert self._database_url is not None
        return {**os.environ, "HUTONG_DATABASE_URL": self._database_url}

    def _look_at(self, process: _Process) -> None:
        """At one that is being started again, on the same ports; the others are watched meanwhile."""
        try:
            if not process.is_ready(RESTART_SECS):
                return
        except (ConfigurationError, StorageError) as error:
            _say(f"{process.role}: {error.message}")
            process.give_up()
        else:
            self._write_run_file()
        process.restarts.started()

    def _revive_postgres(self) -> None:
        if self._postgres is None or self._postgres.alive or not self._postgres_restarts.due():
            return
        try:
            self._postgres.start()  # its address stays the same
        except HutongError as error:
            _say(f"PostgreSQL: {error.message}")
        finally:
            self._postgres_restarts.started()

    def _write_run_file(self) -> None:
        written = self._data / f"{RUN_FILE}.new"
        written.write_text(json.dumps(self.started(), ensure_ascii=False, indent=2), encoding="utf-8")
        written.replace(self._data / RUN_FILE)
        self._told = True
        self._end_of_start()

    def _end_of_start(self) -> None:
        """Takes the note of a start away, unless another hub has begun one on this folder since."""
        note = self._data / STARTING_FILE
        if note.is_file() and note.read_text(encoding="ascii").strip() == str(os.getpid()):
            note.unlink(missing_ok=True)

    def _end(self) -> None:
        self._stopping.set()
        self._end_of_start()
        if self._told:  # else it tells of the hub that this one found running on its folder
            (self._data / RUN_FILE).unlink(missing_ok=True)
        self._dicom.close()
        living = [process.child for process in self._processes if process.child is not None]
        for child in living:
            if child.stdin is not None:
                child.stdin.close()  # they end by themselves when it ends
        deadline = time.monotonic() + STOP_SECS
        for child in living:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()
        if self._postgres is not None:
            self._postgres.stop()


def _say(what: str) -> None:
    Console(stderr=True, markup=False, highlight=False, soft_wrap=True).print(f"hutong: {what}")
