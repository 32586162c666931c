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
from tests.integration.gateway.sending import (
    PATIENCE_SECS,
    SUCCESS,
    bytes_of,
    data_set_of,
    indexed,
    send_raw,
    settled,
    spooled,
    stored,
    until,
)


@dataclass(frozen=True)
class Child:
    """A gateway in a process of its own."""

    process: asyncio.subprocess.Process
    port: int

    async def kill(self) -> None:
        """And waits for its end, and for that of whatever stands in front of it."""
        self.process.kill()
        await self.process.communicate()


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
            async with asyncio.timeout(2 * PATIENCE_SECS):
                child = Child(process, int(await child_of_pipe.readline()))
            stack.push_async_callback(_end, process)
            return child

        yield spawn


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


async def test_an_object_answered_but_not_indexed_is_indexed_before_the_next_gateway_listens(
    spawn: Spawn, start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    files = [radiograph() for _ in range(3)]
    child = await spawn()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table instance in access exclusive mode")
        assert await asyncio.to_thread(send_raw, child.port, files) == [SUCCESS] * 3
        await child.kill()
    assert len(spooled(objects)) == 3
    assert await indexed(pool) == {}

    await start()
    rows = await indexed(pool)
    for file in files:
        row = rows[pydicom.dcmread(file).SOPInstanceUID]
        assert bytes_of(objects, row["location"]).endswith(data_set_of(file))
    await settled(objects)
    for row in rows.values():
        assert (objects / "store" / row["location"]).exists()


async def test_an_object_indexed_but_not_moved_is_served_and_moved_at_the_next_start(
    start: Start, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    store = objects / "store"
    objects.mkdir()
    store.write_text("a store that is away")
    gateway = await start()
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await gateway.close()
    (row,) = (await indexed(pool)).values()
    assert bytes_of(objects, row["location"]).endswith(data_set_of(file))
    store.unlink()
    await start()
    await settled(objects)
    assert (store / row["location"]).read_bytes().endswith(data_set_of(file))


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
    rows = await stored(pool, objects)
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


async def test_status_0000_leaves_only_after_the_object_its_head_and_its_segment_are_flushed(
    spawn: Spawn, tmp_path: Path, radiograph: Write
) -> None:
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,pwritev,pwritev2,pwrite64,sendto,write,writev,sendmsg"
    child = await spawn("strace", "-D", "-f", "-yy", "-s", "400", "-e", calls, "-o", trace)
    assert await asyncio.to_thread(send_raw, child.port, [radiograph()]) == [SUCCESS]
    await child.kill()
    lines = trace.read_text(errors="replace").splitlines()
    # the answer is one P-DATA-TF (type 04) on a socket of our port
    answered = _last(
        lines, rf'(?:sendto|write|sendmsg)\(\d+<TCP[^>]*:{child.port}->[^>]*>, .*"\\4\\0', before=len(lines)
    )
    head = _only(lines, r'pwritev2?\(\d+<[^>]*\.segment>, \[\{iov_base="HTOBJ')
    written = _last(lines, r"pwritev2?\(\d+<[^>]*\.segment>", before=head)
    flushed = _last(lines, r"fdatasync\(\d+<[^>]*\.segment>", before=answered)
    named = _last(lines, r"fsync\(\d+<[^>]*/spool/imaging/0>", before=answered)
    assert written < head < flushed < answered
    assert head < named < answered


def _only(lines: list[str], pattern: str) -> int:
    (found,) = (number for number, line in enumerate(lines) if re.search(pattern, line))
    return found


def _last(lines: list[str], pattern: str, *, before: int) -> int:
    return max(number for number, line in enumerate(lines[:before]) if re.search(pattern, line))
