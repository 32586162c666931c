"""How is a hub of our own started for a story, and surely stopped?"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from conformance.errors import ConformanceError, NoAnswerError

START_LIMIT_SECS = 120
"""A first start makes a database cluster; on a slow disk that takes a while."""
STOP_LIMIT_SECS = 90
"""For what is under way, and the last checkpoint of the database."""
_PAUSE_SECS = 0.05
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where a running hub listens, as its `run.json` says."""

    http: str
    mllp: Mapping[str, int]
    ae_title: str
    dicom_port: int

    @classmethod
    def read(cls, data: Path) -> Sockets:
        run = json.loads((data / "run.json").read_text(encoding="utf-8"))
        return cls(
            http=run["http"],
            mllp={channel: int(port) for channel, port in run["mllp"].items()},
            ae_title=run["dicom"]["ae_title"],
            dicom_port=int(run["dicom"]["port"]),
        )


class HubProcess:
    """`hutong serve` as a process of its own; leaving the `async with` stops it, however it is left.

    Where the system allows it (Linux), the hub is also told to stop when this process is killed outright.
    """

    def __init__(self, config: Path, data: Path, log: Path) -> None:
        self._config, self._data, self._log = config, data, log
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Sockets:
        try:
            return await self._start()
        except BaseException:
            await self._stop()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> Sockets:
        """Starts the hub and waits until it is ready. Raises ConformanceError with the end of its log otherwise."""
        self._data.mkdir(parents=True, exist_ok=True)
        ready = self._data / "run.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "engine.cli.main", "serve"]
        command += ["--config", str(self._config), "--data", str(self._data)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - forking takes no time worth a thread
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_own_database(os.environ),
                start_new_session=True,  # so that Ctrl-C reaches us alone, and we stop the hub in order
                preexec_fn=_dies_with_us(),
            )
        try:
            async with asyncio.timeout(START_LIMIT_SECS):
                while not ready.exists():
                    if self._process.poll() is not None:
                        raise ConformanceError(f"the hub ended with {self._process.returncode}:\n{self._log_end()}")
                    await asyncio.sleep(_PAUSE_SECS)
        except TimeoutError as error:
            raise NoAnswerError(f"the hub was not ready in {START_LIMIT_SECS} s:\n{self._log_end()}") from error
        return Sockets.read(self._data)

    async def _stop(self) -> None:
        """Asks the hub to stop and waits for it; kills its whole session when it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            await asyncio.shield(asyncio.to_thread(_wait, process))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _log_end(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])


def _wait(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT_SECS)


def _own_database(environment: Mapping[str, str]) -> dict[str, str]:
    """A story must never write its invented patients into a database that somebody uses."""
    return {name: value for name, value in environment.items() if name != "HUTONG_DATABASE_URL"}


def _dies_with_us() -> Callable[[], None] | None:
    """What the child runs before it becomes the hub: asks the kernel for SIGTERM when we die (prctl(2))."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    ours = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != ours:
            os._exit(1)

    return ask
