"""Is nothing left running, whichever way the owner of an embedded server ends?"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import psutil
import pytest

from engine.store.embedded import EmbeddedPostgres
from tests.integration.store.conftest import OWNER, PATIENCE_SECS, Own, family, gone


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose first start is behind it; below pytest's own folder, which is private to us."""
    folder = tmp_path_factory.mktemp("embedded") / "postgres"
    with EmbeddedPostgres(folder):
        pass
    return folder


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
    assert owner.process.wait(30) == 0
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
            with pytest.raises(TimeoutError):
                second.result(2)
        finally:
            old.resume()
        says = second.result(PATIENCE_SECS).says
    assert "pid" in says, says
    assert says["pid"] != old.pid


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
    folder = open_folder / "postgres"
    half = folder / "cluster.new"
    first = subprocess.Popen([sys.executable, str(OWNER), str(folder)], stdout=subprocess.PIPE)
    while not (half / "global" / "pg_control").exists():  # the bootstrap backend of initdb is at work
        assert first.poll() is None
    started = family(first.pid)
    assert len(started) > 2
    first.kill()
    first.communicate()
    assert gone(started)
    assert not (folder / "cluster").exists()
    assert "pid" in own(folder).says


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
