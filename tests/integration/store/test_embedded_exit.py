"""Is nothing left running, whichever way the owner of an embedded server ends?"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import asyncpg
import psutil
import pytest

from engine.store.embedded import EmbeddedPostgres
from tests.integration.store.conftest import OWNER, PATIENCE_SECS, Own, family, gone, halted, roomy


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder whose first start is behind it; below a folder that is private to us."""
    with tempfile.TemporaryDirectory(prefix="hutong-", dir=roomy()) as name:
        folder = Path(name) / "postgres"
        with EmbeddedPostgres(folder):
            pass
        yield folder


def segments() -> set[str]:
    """System V shared memory on this machine; ids of postgres carry its status file's second number."""
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def segment_of(folder: Path) -> str:
    return (folder / "cluster" / "postmaster.pid").read_text().splitlines()[6].split()[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV])
def test_a_signal_that_ends_the_owner_ends_the_server(made: Path, own: Own, number: signal.Signals) -> None:
    owner = own(made)
    server, memory = owner.server(), segment_of(made)
    assert len(server) > 3
    assert memory in segments()
    owner.process.send_signal(number)
    assert gone(server)
    assert memory not in segments()
    assert not (made / "cluster" / "postmaster.pid").exists(), "it was shut down in order, not killed"


@pytest.mark.parametrize("word", ["stop", "exit", "leave at once", "fail"])
def test_an_owner_that_ends_by_itself_ends_the_server(made: Path, own: Own, word: str) -> None:
    owner = own(made)
    server, memory = owner.server(), segment_of(made)
    owner.tell(word)
    assert gone(server)
    assert memory not in segments()


def test_when_the_owner_returns_from_an_orderly_exit_the_server_has_gone_already(made: Path, own: Own) -> None:
    owner = own(made)
    server = owner.server()
    owner.tell("exit")
    assert owner.process.wait(PATIENCE_SECS) == 0
    assert [process for process in server if process.is_running()] == []


def test_a_new_owner_waits_for_the_server_of_a_killed_one(made: Path, own: Own) -> None:
    """The old server is halted, as if its last checkpoint took long."""
    first = own(made)
    old = first.server()[0]
    old.suspend()
    first.process.kill()
    with ThreadPoolExecutor() as pool:
        second = pool.submit(own, made)
        try:
            while not asks_for(made / "lock", but=[first.process.pid, *(process.pid for process in family(old.pid))]):
                assert not second.done()
            assert not second.done()
        finally:
            old.resume()
        says = second.result(PATIENCE_SECS).says
    assert "pid" in says, says
    assert says["pid"] != old.pid


def asks_for(lock: Path, *, but: Sequence[int]) -> bool:
    """Whether another of our children than these has the file open."""
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if process.pid not in but and str(lock) in {file.path for file in process.open_files()}:
                return True
    return False


def test_a_server_started_from_a_short_lived_thread_goes_on_after_it(made: Path) -> None:
    server = EmbeddedPostgres(made)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    child = psutil.Process(server.pid)
    with pytest.raises(psutil.TimeoutExpired):
        child.wait(0.3)
    assert server.alive
    server.stop()
    assert not child.is_running()


async def test_stopping_does_not_wait_for_clients_that_hold_transactions(made: Path) -> None:
    server = EmbeddedPostgres(made)
    client = await asyncpg.connect(server.start())
    await client.execute("begin")
    processes = family(server.pid)
    server.stop()
    assert [process for process in processes if process.is_running()] == []
    client.terminate()


def test_an_owner_killed_during_the_first_start_leaves_nothing_running_and_a_folder_that_can_be_used(
    open_folder: Path, own: Own
) -> None:
    for attempt in count():
        folder = open_folder / str(attempt)
        first = subprocess.Popen([sys.executable, str(OWNER), str(folder)], stdout=subprocess.PIPE)
        backend = halted_in_bootstrap(first, folder)
        started = family(first.pid)
        first.kill()
        first.communicate()
        for process in backend:
            process.resume()
        assert gone(started)
        if backend:
            break  # else it was too quick for us, and another one is looked at
    assert len(started) > 2
    assert not (folder / "cluster").exists()
    assert "pid" in own(folder).says


def halted_in_bootstrap(owner: subprocess.Popen[bytes], folder: Path) -> list[psutil.Process]:
    """The backend that initdb works with, halted; empty when it had ended before it was seen."""
    while not (folder / "cluster").exists():
        for process in family(owner.pid):
            with suppress(psutil.Error):
                if "--boot" in process.cmdline() and halted(process):
                    return [process]
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"the owner ended with {owner.wait(0.005)}")
    return []


def test_a_fork_of_the_owner_that_comes_to_its_end_leaves_the_server_alone(made: Path, own: Own) -> None:
    owner = own(made)
    owner.tell("fork")
    assert owner.hear() == {"fork_ended_with": 0, "alive": True}


def test_stopping_twice_is_fine(made: Path) -> None:
    server = EmbeddedPostgres(made)
    server.start()
    server.stop()
    server.stop()
    assert not server.alive
