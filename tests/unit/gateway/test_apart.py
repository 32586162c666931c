"""What kills its process, takes too long or too much memory is said to have failed, and nothing beside it has."""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from multiprocessing import active_children
from operator import methodcaller
from pathlib import Path
from typing import BinaryIO, cast

import psutil
import pytest

from engine.errors import StorageError
from pacs_gateway import apart
from pacs_gateway.apart import Apart, Died, Limits
from pacs_gateway.location import checked
from pacs_gateway.restated import joined
from pacs_gateway.sending.transcoding import CannotEncode
from pacs_gateway.sending.workshop import Workshop

EASY = Limits(processor_secs=60, wall_secs=60.0, memory_bytes=1024**3)


@pytest.fixture
async def workers() -> AsyncIterator[Apart]:
    one = Apart()
    yield one
    await one.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_job_that_kills_its_process_harms_none_beside_or_after_it(
    workers: Apart, number: signal.Signals
) -> None:
    beside = asyncio.create_task(workers.done(EASY, sum, range(3_000_000)))
    with pytest.raises(Died, match="a library died of it"):
        await workers.done(EASY, signal.raise_signal, number)
    assert await beside == sum(range(3_000_000))
    assert await workers.done(EASY, abs, -1) == 1


async def test_a_process_that_is_killed_while_it_waits_for_work_costs_nobody_anything(workers: Apart) -> None:
    first = await workers.done(EASY, os.getpid)
    os.kill(first, signal.SIGKILL)
    assert await workers.done(EASY, os.getpid) not in (first, os.getpid())


async def test_a_job_that_needs_more_memory_than_it_may_have_is_told_so(workers: Apart) -> None:
    small = Limits(60, 60.0, 64 * 1024**2)
    with pytest.raises(Died, match="too much memory"):
        await workers.done(small, bytearray, 1024**3)
    assert len(await workers.done(EASY, bytes, 512 * 1024**2 // 8)) == 64 * 1024**2


async def test_a_job_that_works_or_waits_for_too_long_is_ended(workers: Apart) -> None:
    with pytest.raises(Died, match="too long"):
        await workers.done(Limits(0, 60.0, 1024**3), pow, 3, 10**9)
    with pytest.raises(Died, match="too long"):
        await workers.done(Limits(60, 0.05, 1024**3), signal.pause)
    assert await workers.done(EASY, abs, -1) == 1


async def test_what_a_job_raises_is_raised_whole(workers: Apart) -> None:
    with pytest.raises(StorageError) as raised:
        await workers.done(EASY, checked, "../etc/passwd")
    assert raised.value.code == "location-unsafe"


async def test_an_error_that_cannot_travel_is_told_by_its_kind(workers: Apart) -> None:
    with pytest.raises(Died, match="Unhappy while"):
        await workers.done(EASY, exec, "class Unhappy(Exception): pass\nraise Unhappy")


async def test_a_file_is_read_from_its_beginning_wherever_it_lies(workers: Apart, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"as it lies on the disk")

    def further() -> BinaryIO:
        file = plain.open("rb")
        file.seek(5)
        return file

    def together() -> BinaryIO:
        return joined(plain.open("rb"), [b"put together, ", (6, 2)])

    read = methodcaller("read")
    assert await workers.done(EASY, read, opened=further) == b"as it lies on the disk"
    assert await workers.done(EASY, read, opened=together) == b"put together, li"
    assert await workers.done(EASY, read, opened=lambda: cast(BinaryIO, io.BytesIO(b"memory"))) == b"memory"


async def test_a_file_that_is_not_there_disturbs_no_process(workers: Apart, tmp_path: Path) -> None:
    before = await workers.done(EASY, os.getpid)
    with pytest.raises(FileNotFoundError):
        await workers.done(EASY, methodcaller("read"), opened=(tmp_path / "none").open)  # type: ignore[arg-type]
    assert await workers.done(EASY, os.getpid) == before


async def test_no_more_processes_work_than_are_allowed_and_none_is_left(workers: Apart) -> None:
    numbers = await asyncio.gather(*(workers.done(EASY, os.getpid) for _ in range(12)))
    assert len(set(numbers)) <= apart.PROCESSES
    await workers.close()
    assert not {child.pid for child in active_children()} & set(numbers)


_HUB = """
import asyncio, os
from pacs_gateway.apart import Apart, Limits

async def main():
    apart, easy = Apart(), Limits(60, 60.0, 1024**3)
    print(await apart.done(easy, os.getpid), await apart.done(easy, os.getppid), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_none_outlives_the_process_that_it_works_for_however_that_ends() -> None:
    hub = await asyncio.create_subprocess_exec(sys.executable, "-c", _HUB, stdout=asyncio.subprocess.PIPE)
    assert hub.stdout is not None
    numbers = (await hub.stdout.readline()).split()
    ours = [psutil.Process(int(number)) for number in numbers]
    assert len(ours) == 2
    hub.kill()
    await hub.wait()
    _, left = await asyncio.to_thread(psutil.wait_procs, ours, timeout=120)
    assert left == []


async def test_who_stops_waiting_leaves_the_process_to_the_next(workers: Apart) -> None:
    waiting = asyncio.create_task(workers.done(Limits(60, 0.2, 1024**3), signal.pause))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.gather(*(workers.done(EASY, abs, -1) for _ in range(3))) == [1, 1, 1]


async def test_an_object_whose_encoder_dies_is_said_not_to_be_had_in_that_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def dies(*_: object) -> bytes:
        raise Died("a library died of it")

    monkeypatch.setattr(Apart, "done", dies)
    with pytest.raises(CannotEncode, match="a library died of it"):
        await Workshop().made(b"", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5")


@pytest.mark.parametrize("name", apart.PRELOADED)
def test_what_is_loaded_before_is_there(name: str) -> None:
    importlib.import_module(name)
