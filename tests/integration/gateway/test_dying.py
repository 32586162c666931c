"""Whatever kills the gateway, what was answered 0000 is there, and nothing half-stored is."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import asyncpg
import pydicom
import pytest

from tests.integration.gateway import gateway_process
from tests.integration.gateway.conftest import RecordingIntake, Start, Write
from tests.integration.gateway.sending import NO_ANSWER, SUCCESS, bytes_of, data_set_of, send_raw, spooled, stored

Predicate = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Child:
    """A gateway in a process of its own."""

    process: asyncio.subprocess.Process
    port: int

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


Spawn = Callable[..., Awaitable[Child]]


@pytest.fixture
async def spawn(database_url: str, objects: Path) -> AsyncIterator[Spawn]:
    async with AsyncExitStack() as stack:

        async def spawn(*before: str | Path) -> Child:
            process = await asyncio.create_subprocess_exec(
                *before,
                sys.executable,
                "-m",
                gateway_process.__name__,
                database_url,
                objects,
                stdout=asyncio.subprocess.PIPE,
            )
            child_of_pipe = process.stdout
            assert child_of_pipe is not None
            async with asyncio.timeout(30):
                child = Child(process, int(await child_of_pipe.readline()))
            stack.push_async_callback(_end, process)
            return child

        yield spawn


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def until(reached: Predicate) -> None:
    """Waits for a condition that another process brings about."""
    async with asyncio.timeout(20):
        while not await reached():  # noqa: ASYNC110 - another process brings it about, without an event
            await asyncio.sleep(0.005)


async def test_an_object_spooled_but_not_indexed_is_swept_and_can_be_sent_again(
    spawn: Spawn, start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    child = await spawn()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table instance in access exclusive mode")
        sending = asyncio.create_task(asyncio.to_thread(send_raw, child.port, [file]))

        async def spooled_whole() -> bool:
            return any(name.endswith(".dcm") for name in spooled(objects))

        await until(spooled_whole)
        await child.kill()
        assert await sending == [NO_ANSWER]
    assert len(spooled(objects)) == 1

    gateway = await start()
    assert spooled(objects) == []
    assert await stored(pool) == {}
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    (row,) = (await stored(pool)).values()
    assert bytes_of(objects, row["location"]).endswith(data_set_of(file))


async def test_a_half_written_object_is_swept(start: Start, objects: Path) -> None:
    folder = objects / "spool" / "imaging"
    folder.mkdir(parents=True)
    (folder / "0123.part").write_bytes(b"half")
    await start()
    assert spooled(objects) == []


async def test_an_object_indexed_but_not_moved_is_served_and_moved_at_the_next_start(
    start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    gateway = await start()
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await gateway.close()
    (row,) = (await stored(pool)).values()
    in_store, in_spool = (
        objects / "store" / row["location"],
        objects / "spool" / "imaging" / row["location"].replace("/", "~"),
    )
    if in_store.exists():
        in_store.rename(in_spool)
    assert bytes_of(objects, row["location"]).endswith(data_set_of(file))
    await start()
    assert spooled(objects) == []
    assert in_store.read_bytes().endswith(data_set_of(file))


async def test_a_study_stored_but_not_announced_is_announced_after_the_next_start(
    start: Start, intake: RecordingIntake, radiograph: Write
) -> None:
    file = radiograph()
    gateway = await start(quiet_secs=3600)
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await gateway.close()
    assert intake.submitted == []
    await start(quiet_secs=0.01)
    await intake.of(pydicom.dcmread(file).StudyInstanceUID)


@pytest.mark.parametrize("answered", [1, 7, 20])
async def test_everything_answered_before_a_kill_is_there_and_whole(
    spawn: Spawn, start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write, answered: int
) -> None:
    files = [radiograph(InstanceNumber=number) for number in range(40)]
    child = await spawn()
    sending = [asyncio.create_task(asyncio.to_thread(send_raw, child.port, files[at::4])) for at in range(4)]

    async def enough_are_indexed() -> bool:
        count: int = await pool.fetchval("select count(*) from instance")
        return count >= answered

    await until(enough_are_indexed)
    await child.kill()
    statuses = [await task for task in sending]

    await start()
    rows = await stored(pool)
    for at, lane in enumerate(statuses):
        for file, status in zip(files[at::4], lane, strict=True):
            if status == SUCCESS:
                row = rows[pydicom.dcmread(file).SOPInstanceUID]
                assert bytes_of(objects, row["location"]).endswith(data_set_of(file))
    for row in rows.values():
        assert sha256(bytes_of(objects, row["location"])[-row["bytes"] :]).digest() == row["sha256"]
    assert spooled(objects) == []
    in_store = {str(path.relative_to(objects / "store")) for path in (objects / "store").rglob("*.dcm")}
    assert in_store == {row["location"] for row in rows.values()}


async def test_status_0000_leaves_only_after_the_object_its_name_and_its_row_are_flushed(
    spawn: Spawn, tmp_path: Path, radiograph: Write
) -> None:
    trace = tmp_path / "trace"
    calls = "trace=fsync,rename,renameat,renameat2,sendto,recvfrom,write,writev,sendmsg,read"
    child = await spawn("strace", "-D", "-f", "-yy", "-s", "400", "-e", calls, "-o", trace)
    assert await asyncio.to_thread(send_raw, child.port, [radiograph()]) == [SUCCESS]
    await child.kill()
    lines = trace.read_text(errors="replace").splitlines()
    flushed = _only(lines, r"fsync\(\d+<[^>]*/spool/imaging/[0-9a-f]+\.part>")
    renamed = _only(lines, r"rename\w*\(.*\.part.*\.dcm")
    named = _last(lines, r"fsync\(\d+<[^>]*/spool/imaging>", before=len(lines))
    # the answer is one P-DATA-TF (type 04) on a socket of our port
    answered = _last(
        lines, rf'(?:sendto|write|sendmsg)\(\d+<TCP[^>]*:{child.port}->[^>]*>, .*"\\4\\0', before=len(lines)
    )
    committed = _last(lines, r"recvfrom\(.*COMMIT|read\(.*COMMIT", before=answered)
    assert flushed < renamed < named < committed < answered


def _only(lines: list[str], pattern: str) -> int:
    (found,) = (number for number, line in enumerate(lines) if re.search(pattern, line))
    return found


def _last(lines: list[str], pattern: str, *, before: int) -> int:
    return max(number for number, line in enumerate(lines[:before]) if re.search(pattern, line))
