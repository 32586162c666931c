"""From its last byte on an object is durable, then in the index, then in the store; whatever fails in between."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import asyncpg
import pydicom
import pytest

from engine import clock
from engine.errors import ParseError, StorageError
from pacs_gateway import indexing
from pacs_gateway.keeping import Keeping
from pacs_gateway.location import Objects, open_object
from pacs_gateway.segments.segment import Segment
from tests.integration.gateway.conftest import Open, Write
from tests.integration.gateway.sending import (
    PATIENCE_SECS,
    announced,
    data_set_of,
    holds,
    indexed,
    keep,
    shelved,
    spooled,
    until,
)


@pytest.fixture
async def keeping(open_keeping: Open) -> Keeping:
    return await open_keeping()


async def test_an_object_is_indexed_and_then_only_in_the_store(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    await keep(keeping, file)
    await shelved(pool, objects, 1)
    assert await holds(pool, objects, file)
    assert not [path for path in (objects / "store" / ".unfinished").rglob("*") if path.is_file()]


async def test_objects_of_many_associations_are_all_kept(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    files = [radiograph(InstanceNumber=number) for number in range(40)]

    async def association(lane: int) -> None:
        for file in files[lane::8]:
            await keep(keeping, file, piece_bytes=64 + lane)

    await asyncio.gather(*(association(lane) for lane in range(8)))
    await shelved(pool, objects, 40)
    for file in files:
        assert await holds(pool, objects, file)


async def test_a_reader_gets_an_object_from_the_spool_while_the_store_is_away(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write, caplog: pytest.LogCaptureFixture
) -> None:
    (objects / "store").write_text("no folder")
    files = [radiograph() for _ in range(3)]
    for file in files:
        await keep(keeping, file)

    async def told() -> bool:
        return "objects stay in the spool" in caplog.text and len(await indexed(pool)) == 3

    await until(told)
    for file in files:
        assert await holds(pool, objects, file)
    (objects / "store").unlink()
    await shelved(pool, objects, 3)
    for file in files:
        assert await holds(pool, objects, file)


async def test_an_object_that_is_read_while_it_is_moved_leaves_the_spool_once_its_reader_has_left(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    (objects / "store").write_text("no folder")
    file = radiograph()
    await keep(keeping, file)
    await keeping.settled()
    (row,) = (await indexed(pool)).values()
    with open_object(Objects(objects), row["location"]) as reader:
        (objects / "store").unlink()

        async def stored() -> bool:
            return bool((objects / "store" / row["location"]).exists())

        await until(stored)
        assert reader.read().endswith(data_set_of(file))
    await shelved(pool, objects, 1)


async def test_who_waits_for_rows_has_them_however_slow_the_database_is(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table instance in exclusive mode")
        await keep(keeping, radiograph())
        waiting = asyncio.create_task(keeping.settled())
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert done == set()
    await waiting
    assert len(await indexed(pool)) == 1


async def test_who_waits_for_rows_does_not_wait_for_a_database_that_is_away(
    keeping: Keeping, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "SETTLE_SECS", 3600.0)
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    await pool.execute("alter table instance rename to instance_elsewhere")
    await keep(keeping, radiograph())
    async with asyncio.timeout(PATIENCE_SECS):
        await keeping.settled()


async def test_an_object_is_taken_while_the_database_is_away_and_indexed_when_it_is_back(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.execute("alter table instance rename to instance_elsewhere")
    file = radiograph()
    await keep(keeping, file)

    async def told() -> bool:
        return "objects wait for the index" in caplog.text

    await until(told)
    await pool.execute("alter table instance_elsewhere rename to instance")
    await shelved(pool, objects, 1)
    assert await holds(pool, objects, file)


async def test_while_the_flush_is_slow_nothing_is_finished_and_the_loop_goes_on(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, flush = threading.Event(), os.fdatasync

    def slow(descriptor: int) -> None:
        go_on.wait(PATIENCE_SECS)
        flush(descriptor)

    monkeypatch.setattr("os.fdatasync", slow)
    sending = [asyncio.create_task(keep(keeping, radiograph())) for _ in range(20)]
    done, _ = await asyncio.wait(sending, timeout=0.1)
    assert done == set()
    assert await indexed(pool) == {}
    go_on.set()
    await asyncio.gather(*sending)
    await shelved(pool, objects, 20)


async def test_an_object_whose_flush_failed_is_refused_and_nowhere(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = await open_keeping()
    kept = radiograph()
    await keep(keeping, kept)

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", failing)
        with pytest.raises(StorageError):
            await keep(keeping, radiograph())
    again = radiograph()
    await keep(keeping, again)
    await keeping.close()
    await open_keeping()
    await shelved(pool, objects, 2)
    assert set(await indexed(pool)) == {announced(kept).sop_instance_uid, announced(again).sop_instance_uid}


async def test_an_object_that_ends_early_is_refused_and_nowhere(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    data = memoryview(data_set_of(file))
    arriving = keeping.reception.begin(announced(file))
    arriving.write([data[:-1]])
    with pytest.raises(ParseError):
        await arriving.finish()
    await keep(keeping, file)
    await shelved(pool, objects, 1)


async def test_an_abandoned_object_is_nowhere_and_its_place_is_used_again(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph()
    for _ in range(5):
        arriving = keeping.reception.begin(announced(file))
        arriving.write([memoryview(data_set_of(file))])
        arriving.abandon()
    await keep(keeping, file)
    await shelved(pool, objects, 1)
    assert len(list(objects.glob("spool/*/*/*.segment"))) == 1


async def test_a_large_object_is_hashed_whole(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph(PixelData=os.urandom(6_000_000), Rows=1500, Columns=2000)
    await keep(keeping, file, piece_bytes=300_000)
    await shelved(pool, objects, 1)
    assert await holds(pool, objects, file)


async def test_while_too_much_waits_for_the_index_more_is_refused(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "WAITING_LIMIT", 3)
    await pool.execute("alter table instance rename to instance_elsewhere")
    for _ in range(3):
        await keep(keeping, radiograph())
    file = radiograph()
    with pytest.raises(StorageError, match="wait for the index"):
        await keep(keeping, file)
    await pool.execute("alter table instance_elsewhere rename to instance")
    await shelved(pool, objects, 3)
    await keep(keeping, file)
    await shelved(pool, objects, 4)


async def test_identical_bytes_are_one_object_and_other_bytes_are_kept_apart(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    first = radiograph()
    sent = pydicom.dcmread(first)
    uids = {keyword: sent[keyword].value for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")}
    other = radiograph(**uids, PatientName="Other^Person")
    for file in (first, first, other, first, other):
        await keep(keeping, file)

    async def both() -> bool:
        there = list((objects / "store").rglob("*.dcm"))
        return len(there) == 2 and spooled(objects) == []

    await until(both)
    rows = await pool.fetch("select conflict from instance order by stored_at")
    assert [row["conflict"] for row in rows] == [False, True]
    assert await pool.fetchval("select revision from study") == 2


async def test_a_small_disk_refuses_what_has_no_room_and_goes_on_when_there_is(
    pool: asyncpg.Pool, small_disk: Path, radiograph: Write
) -> None:
    keeping = Keeping("imaging", pool, small_disk, clock.now, os.urandom, lambda: None)
    await keeping.start()
    try:
        with pytest.raises(StorageError, match="No space left"):
            await keep(keeping, radiograph(PixelData=bytes(7_000_000), Rows=1750, Columns=2000), 100_000)
        file = radiograph(PixelData=bytes(600_000), Rows=600, Columns=500)
        await keep(keeping, file, 100_000)
        await shelved(pool, small_disk, 1)
        assert await holds(pool, small_disk, file)
    finally:
        await keeping.close()


async def test_an_object_that_is_not_what_was_written_gets_no_row_and_is_told(
    keeping: Keeping,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was flushed and answered, and the disk gives something else back when it is hashed."""
    read, good, bad = Segment.read, radiograph(), radiograph()
    spoilt: list[int] = []

    def spoils_the_first(self: Segment, buffer: memoryview, at: int) -> int:
        taken = read(self, buffer, at)
        if not spoilt:
            spoilt.append(at)
            buffer[0] ^= 1
        return taken

    monkeypatch.setattr(Segment, "read", spoils_the_first)
    await keep(keeping, bad)

    async def told() -> bool:
        return "stays in the spool without an index row: an object could not be read back" in caplog.text

    await until(told)

    async def found() -> bool:
        rows = await pool.fetch("select code, severity, location, channel from finding where settled_at is null")
        uid = announced(bad).sop_instance_uid
        return [tuple(row) for row in rows] == [("object-damaged", "error", f"Instance/{uid}", "imaging")]

    await until(found)
    await keep(keeping, good)

    async def the_good_one() -> bool:
        return set(await indexed(pool)) == {announced(good).sop_instance_uid}

    await until(the_good_one)
    assert len(spooled(objects)) >= 1
