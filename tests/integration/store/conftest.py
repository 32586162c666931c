"""What the tests of the embedded server share: folders that any account reaches, and owners in their own process."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from engine.store.embedded import EmbeddedPostgres

OWNER = Path(__file__).with_name("owner_process.py")
PATIENCE_SECS = 120
"""For what ends soon: a server writes a checkpoint before it goes, and the disk may be busy."""


MEMORY, DISK = Path("/dev/shm"), Path("/tmp")
MEMORY_BYTES = 2 * 1024**3


def roomy() -> Path:
    """Where any account may make folders: in memory where there is plenty, as the disk is busy with other things."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else DISK


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, with a short name (pytest's own are private and long)."""
    with tempfile.TemporaryDirectory(prefix="hutong-", dir=roomy()) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def _prepared_once() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hutong-", dir=roomy()) as name:
        folder = Path(name) / "postgres"
        with EmbeddedPostgres(folder):
            pass
        yield folder


@pytest.fixture
def prepared(open_folder: Path, _prepared_once: Path) -> Path:
    """A folder with a database in it and no server: copying one takes a tenth of the time of making it."""
    folder = open_folder / "postgres"
    subprocess.run(["cp", "--archive", str(_prepared_once), str(folder)], check=True)
    return folder


class Owner:
    """A process that owns an embedded server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._input = process.stdin
        self._output = process.stdout
        self.says = self.hear()

    def hear(self) -> dict[str, str | int]:
        """Its next word."""
        heard: dict[str, str | int] = json.loads(self._output.readline() or '{"error": "it ended"}')
        return heard

    def server(self) -> list[psutil.Process]:
        """All processes of its server."""
        return family(int(self.says["pid"]))

    def tell(self, word: str) -> None:
        self._input.write(f"{word}\n")
        self._input.flush()


Own = Callable[..., Owner]


@pytest.fixture
def own() -> Iterator[Own]:
    """Starts an owner on a folder; `under` puts a command such as setpriv in front of it."""
    owners: list[Owner] = []

    def start(folder: Path, *, under: Sequence[str] = ()) -> Owner:
        command = [*under, sys.executable, str(OWNER), str(folder)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        owners.append(Owner(process))
        return owners[-1]

    yield start
    for owner in owners:
        server = [process for process in psutil.process_iter() if process.pid == owner.says.get("pid")]
        owner.process.kill()
        owner.process.communicate()
        assert gone(server), "its folder is about to be removed"


def as_nobody() -> list[str]:
    """The command that runs what follows as an ordinary user; nothing where the tests already run as one.

    The interpreter of a developer who is root may lie below root's private home: nobody is allowed to read there.
    """
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    drop = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    plain = subprocess.run([*drop, sys.executable, "-c", again], check=False, capture_output=True)
    return (
        drop if plain.returncode == 0 else [*drop, *(f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient"))]
    )


def give_to_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def family(pid: int) -> list[psutil.Process]:
    """A process and all its children, as a server has one for each task and client."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Waits for the end of processes that are nobody's children here, whoever asks for their last word and when."""
    deadline = time.monotonic() + PATIENCE_SECS
    left = list(processes)
    while left := [process for process in left if _lives(process)]:
        if time.monotonic() > deadline:
            return False
        psutil.wait_procs(left, timeout=0.02)
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def halted(process: psutil.Process) -> bool:
    """Halts a process wherever it is; False when it was about to end. Raises psutil.Error when it has ended."""
    process.suspend()
    while (status := process.status()) != psutil.STATUS_STOPPED:
        if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
    return True
