"""Does a killed server come back with everything it had committed, however long that takes?"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from engine.store.embedded import EmbeddedPostgres
from engine.store.embedded import server as server_module
from tests.integration.store.conftest import PATIENCE_SECS, family, gone, halted


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


async def test_a_long_recovery_is_waited_for_and_spoken_of(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that recovers is halted, as if its work took long; the wait must neither fail nor be silent."""
    monkeypatch.setattr(server_module, "WORD_EVERY_SECS", 0.05)
    server = EmbeddedPostgres(prepared)
    while True:
        rows = await _killed_with_much_to_recover(server)
        thread = threading.Thread(target=server.start)
        thread.start()
        recovering = _halted_recovery(server, thread)
        if recovering:
            break  # else it was too quick for us, and has more to do the next time
        thread.join()
    with _listening("recovering") as spoken:
        assert spoken.wait(PATIENCE_SECS)
    assert thread.is_alive(), "a start that is recovering neither returns nor gives up"
    for process in recovering:
        process.resume()
    thread.join(PATIENCE_SECS)
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("select count(*) from big") == rows
    await connection.close()
    server.stop()


async def _killed_with_much_to_recover(server: EmbeddedPostgres) -> int:
    """How many rows it had committed."""
    connection = await asyncpg.connect(server.start())
    await connection.execute("create table if not exists big (filler text)")
    await connection.execute("insert into big select repeat('x', 200) from generate_series(1, 300000)")
    rows: int = await connection.fetchval("select count(*) from big")
    await connection.close()
    os.kill(server.pid, signal.SIGKILL)
    assert server.ended_within(PATIENCE_SECS)
    return rows


def _halted_recovery(server: EmbeddedPostgres, starting: threading.Thread) -> list[psutil.Process]:
    """The process that recovers, halted; empty when it had ended before it was seen."""
    while starting.is_alive():
        if not server.alive:
            continue
        with suppress(psutil.Error):
            for child in psutil.Process(server.pid).children():
                if "startup" in " ".join(child.cmdline()) and halted(child):
                    return [child]
    return []


@contextmanager
def _listening(word: str) -> Iterator[threading.Event]:
    """Set once the server's module says this word from now on."""
    spoken = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: spoken.set() if word in record.getMessage() else None  # type: ignore[method-assign]
    logger = logging.getLogger(server_module.__name__)
    logger.addHandler(handler)
    try:
        yield spoken
    finally:
        logger.removeHandler(handler)
