"""How is a real hub started for a test, reached into, and surely ended? `hutong serve` as a process of its own."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil

from engine.store.embedded import EmbeddedPostgres
from tests.ports import free_port

__all__ = ["END_SECS", "START_SECS", "Served", "free_port", "hub_folder", "serving", "until"]

START_SECS = 180.0
END_SECS = 60.0
"""For everything to be over after an end: what a process was given time for, and a machine that does much else."""
_PAUSE_SECS = 0.02
_PR_SET_PDEATHSIG = 1


async def until(what: str, ask: Callable[[], Any], *, within_secs: float = 60.0) -> Any:
    """Asks again until the answer is true, and returns it; `ask` may be a coroutine function."""
    answer: Any = None
    try:
        async with asyncio.timeout(within_secs):
            while True:
                answer = ask()
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer:
                    return answer
                await asyncio.sleep(_PAUSE_SECS)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {within_secs:g} s") from None


class Served:
    """One hub on a configuration and a data folder; it may be ended and started again on them."""

    def __init__(self, folder: Path, *, only: str | None = None, database_url: str | None = None) -> None:
        self.config = folder / "community"
        self.data = folder / "data"
        self.log = folder / "hub.log"
        self._only = only
        self._database_url = database_url
        self._process: subprocess.Popen[bytes] | None = None

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────────────────

    def launch(self, *, under: Sequence[str | Path] = ()) -> subprocess.Popen[bytes]:
        """Starts it without waiting; `under` puts a command such as strace in front of it."""
        command = [*map(str, under), sys.executable, "-m", "engine.cli.main", "serve"]
        command += ["--config", str(self.config), "--data", str(self.data)]
        if self._only is not None:
            command += ["--only", self._only]
        self.data.mkdir(exist_ok=True)
        (self.data / "run.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
                preexec_fn=_dies_with_us(),
            )
        return self._process

    async def start(self, *, under: Sequence[str | Path] = ()) -> None:
        """Starts it and waits until it is ready."""
        process = self.launch(under=under)

        def ready() -> bool:
            assert process.poll() is None, f"the hub ended with {process.returncode}:\n{self.said()}"
            return (self.data / "run.json").exists()

        await until("the hub is ready", ready, within_secs=START_SECS)

    async def stop(self) -> None:
        """Ends it in order. What is left after that is killed, and is a failure of the test."""
        if self._process is not None and self._process.poll() is None:
            self.supervisor.terminate()
            ended = partial(_has_ended, self._process)
            await until("the hub has stopped", ended, within_secs=2 * END_SECS)
        assert self.left_running() == []

    def kill_all(self) -> None:
        """Ends everything that belongs to this hub, however the test ended."""
        for process in self.left_running():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        psutil.wait_procs(self.left_running(), timeout=END_SECS)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    # ── its processes ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def supervisor(self) -> psutil.Process:
        return psutil.Process(self.run["pid"])

    def process(self, role: str) -> psutil.Process:
        """The process of a role: engine, pipeline, web, gateway; or postgres."""
        (found,) = self.processes(role)
        return found

    def processes(self, role: str) -> list[psutil.Process]:
        """All of a role, the oldest first; one that was killed may be among them."""
        found = []
        for child in self._children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                words = child.cmdline()
                if (words and Path(words[0]).name == role) or words[1:4] == ["-m", "engine.cli.process", role]:
                    found.append(child)
        return found

    def _children(self) -> list[psutil.Process]:
        """Asked of the supervisor's threads: psutil would read every process of the machine for it.

        The list may name a child that ends before it is looked at, and a thread may end before its list is read.
        """
        found = []
        for file in Path(f"/proc/{self.run['pid']}/task").glob("*/children"):
            for pid in _words(file):
                with suppress(psutil.NoSuchProcess):
                    found.append(psutil.Process(int(pid)))
        return found

    async def kill(self, role: str) -> None:
        """kill -9 as soon as there is one, and waits until the kernel has ended it."""
        process = await self.revived(role)
        threads = Path(f"/proc/{process.pid}/task")
        process.kill()
        await until(f"the end of {role}", lambda: not _lives(process) and _at_most_one(threads))

    async def whole(self) -> None:
        """Waits until the browser's port, if it has one, and every channel listen, whatever an earlier test did."""
        page = [urlsplit(self.run["http"]).port] if "http" in self.run else []
        for port in (*page, *self.run["mllp"].values()):
            await until(f"port {port} listens", partial(_listens, port), within_secs=START_SECS)

    async def revived(self, role: str) -> psutil.Process:
        """Waits until a role runs, should the supervisor have to start it again first."""
        process: psutil.Process = await until(f"another {role}", partial(self._alive, role), within_secs=START_SECS)
        return process

    def _alive(self, role: str) -> psutil.Process | None:
        return next((process for process in self.processes(role) if _lives(process)), None)

    def left_running(self) -> list[psutil.Process]:
        """Every process that names this hub's data on its command line or works in it."""
        ours = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                named = any(str(self.data) in word for word in process.cmdline())
                if process.pid != os.getpid() and _lives(process) and (named or self._works_in(process)):
                    ours.append(process)
        return ours

    def _works_in(self, process: psutil.Process) -> bool:
        return Path(process.cwd()).is_relative_to(self.data)

    # ── its doors ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def run(self) -> dict[str, Any]:
        """run.json."""
        run: dict[str, Any] = json.loads((self.data / "run.json").read_text(encoding="utf-8"))
        return run

    def port(self, channel: str) -> int:
        port: int = self.run["mllp"][channel]
        return port

    @property
    def database_url(self) -> str:
        return self._database_url or EmbeddedPostgres(self.data / "postgres").url

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A look into its database, once that takes connections."""

        async def connected() -> asyncpg.Connection | None:
            try:
                return await asyncpg.connect(self.database_url)
            except (OSError, asyncpg.PostgresError):
                return None

        connection = await until("the database is there", connected, within_secs=START_SECS)
        try:
            yield connection
        finally:
            connection.terminate()

    def _environment(self) -> dict[str, str]:
        """Ours without a database that somebody uses."""
        environment = {name: value for name, value in os.environ.items() if name != "HUTONG_DATABASE_URL"}
        if self._database_url is not None:
            environment["HUTONG_DATABASE_URL"] = self._database_url
        return environment


@contextmanager
def hub_folder(community: Mapping[str, object]) -> Iterator[Path]:
    """A short-named folder with a configuration in it: file name → content. JSON is YAML."""
    with tempfile.TemporaryDirectory(prefix="hutong-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the database's own account has to pass through
        for file, content in community.items():
            path = folder / "community" / f"{file}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        yield folder


@contextmanager
def serving(
    community: Mapping[str, object], *, only: str | None = None, database_url: str | None = None
) -> Iterator[Served]:
    """A hub that is not started yet; nothing of it is left afterwards, however the test ends."""
    with hub_folder(community) as folder:
        hub = Served(folder, only=only, database_url=database_url)
        try:
            yield hub
        finally:
            hub.kill_all()


def _at_most_one(threads: Path) -> bool:
    """A zombie's other threads keep its sockets open until they have ended too."""
    try:
        return len(list(threads.iterdir())) <= 1
    except OSError:
        return True


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # its thread has ended
        return []


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _dies_with_us() -> Callable[[], None]:
    """What the child runs before it becomes the hub: asks the kernel for SIGTERM when the tests die (prctl(2))."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    ours = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != ours:
            os._exit(1)

    return ask
