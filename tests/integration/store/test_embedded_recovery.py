"""Does a killed server come back with everything it had committed, however long that takes?"""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import asyncpg
import psutil
import pytest

from engine.store.embedded import EmbeddedPostgres
from engine.store.embedded import server as server_module
from tests.integration.store.conftest import PATIENCE_SECS, family, gone


async def test_what_was_committed_survives_the_server_being_killed(prepared: Path) -> None:
    server = EmbeddedPostgres(prepared)
    connection = await asyncpg.connect(server.start())
    await connection.execute("create table kept (value int)")
    for value in range(20):
        await connection.execute("insert into kept values ($1)", value)
    processes = family(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    assert server.ended_within(PATIENCE_SECS)
    assert not server.alive
    connection = await asyncpg.connect(server.start())
    assert await connection.fetchval("select count(*) from kept") == 20
    await connection.close()
    server.stop()
    assert gone(processes)


async def test_the_memory_of_a_killed_server_is_given_back_when_its_owner_stops(prepared: Path) -> None:
    server = EmbeddedPostgres(prepared)
    server.start()
    segment = (server.folder / "cluster" / "postmaster.pid").read_text().splitlines()[6].split()[1]
    processes = family(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert gone(processes)
    held = {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
    assert segment not in held
    server.start()
    server.stop()


async def test_a_long_recovery_is_waited_for_and_spoken_of(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process that recovers is halted, as if its work took long; the wait must neither fail nor be silent."""
    monkeypatch.setattr(server_module, "WORD_EVERY_SECS", 0.05)
    server = EmbeddedPostgres(prepared)
    connection = await asyncpg.connect(server.start())
    await connection.execute("create table big as select repeat('x', 200) as filler from generate_series(1, 300000)")
    await connection.close()
    os.kill(server.pid, signal.SIGKILL)
    assert server.ended_within(PATIENCE_SECS)

    spoken = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: spoken.set() if "recovering" in record.getMessage() else None  # type: ignore[method-assign]
    logging.getLogger(server_module.__name__).addHandler(handler)
    thread = threading.Thread(target=server.start)
    thread.start()
    halted = _halt_recovery(server)
    spoken.clear()
    assert spoken.wait(20)
    assert thread.is_alive(), "a start that is recovering neither returns nor gives up"
    halted.resume()
    thread.join(60)
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("select count(*) from big") == 300_000
    await connection.close()
    server.stop()


def _halt_recovery(server: EmbeddedPostgres) -> psutil.Process:
    while True:
        if not server.alive:
            continue
        for child in psutil.Process(server.pid).children():
            if "startup" in " ".join(child.cmdline()):
                child.suspend()
                return child
