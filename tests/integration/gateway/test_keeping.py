"""From its last byte on an object is durable, then in the index, then in the store; whatever fails in between."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path

import asyncpg
import pydicom
import pytest

from engine import clock
from engine.errors import ParseError, StorageError
from pacs_gateway import indexing
from pacs_gateway.keeping import Keeping
from pacs_gateway.location import Objects, open_object
from pacs_gateway.segments.record import NAME_AT, PAGE
from pacs_gateway.segments.segment import Segment
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import PATIENCE_SECS, announced, data_set_of, indexed, keep, spooled, until

Open = Callable[[], Awaitable[Keeping]]


@pytest.fixture
async def start(pool: asyncpg.Pool, objects: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def start() -> Keeping:
            keeping = Keeping("imaging", pool, objects, clock.now, os.urandom, lambda: None)
            stack.push_async_callback(keeping.close)
            await keeping.start()
            return keeping

        yield start


@pytest.fixture
async def keeping(start: Open) -> Keeping:
    return await start()


async def shelved(pool: asyncpg.Pool, objects: Path, count: int) -> None:
    """Waits until so many objects are in the store, and nothing is left in the spool."""

    async def so_many() -> bool:
        rows = await indexed(pool)
        there = sorted((objects / "store").rglob("*.dcm"))
        return len(rows) == len(there) == count and spooled(objects) == []

    await until(so_many)


async def holds(pool: asyncpg.Pool, objects: Path, file: Path) -> bool:
    row = (await indexed(pool))[announced(file).sop_instance_uid]
    with open_object(Objects(objects), row["location"]) as opened:
        content = opened.read()
    data = data_set_of(file)
    return content.endswith(data) and row["sha256"] == sha256(data).digest() and row["bytes"] == len(data)


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


async def test_what_had_no_row_when_the_process_ended_has_one_before_the_next_takes_anything(
    start: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    keeping = await start()
    await pool.execute("alter table instance rename to instance_elsewhere")
    files = [radiograph() for _ in range(5)]
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    await pool.execute("alter table instance_elsewhere rename to instance")
    assert await indexed(pool) == {}
    await start()
    assert len(await indexed(pool)) == 5
    await shelved(pool, objects, 5)
    for file in files:
        assert await holds(pool, objects, file)


@pytest.mark.parametrize("flushed", [False, True], ids=["never flushed", "flushed, and damaged by the disk"])
async def test_an_object_whose_bytes_are_not_what_its_head_says_is_dropped_only_if_it_was_never_flushed(
    start: Open,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    flushed: bool,
) -> None:
    """What a power cut before the flush returned may leave has no name yet; nobody was told that it is kept."""
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    keeping = await start()
    await pool.execute("alter table instance rename to instance_elsewhere")
    files = [radiograph() for _ in range(3)]
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    await pool.execute("alter table instance_elsewhere rename to instance")
    (path,) = objects.glob("spool/*/*/*.segment")
    segment = Segment.open(path, bytes(16))
    second = list(segment.heads())[1]
    segment.write((b"torn",), second.data_at + 300)
    if not flushed:
        segment.write((bytes(44),), second.place + NAME_AT)
    segment.close()
    await start()

    async def the_others() -> bool:
        return len(list((objects / "store").rglob("*.dcm"))) == 2

    await until(the_others)
    assert set(await indexed(pool)) == {announced(file).sop_instance_uid for file in (files[0], files[2])}
    assert ("the disk has damaged an object" in caplog.text) is flushed
    told = await pool.fetch("select location from finding where code = 'object-damaged' and settled_at is null")
    assert [row["location"] for row in told] == ([f"Instance/{second.sop_uid}"] if flushed else [])

    async def left_as_it_should_be() -> bool:
        return bool(spooled(objects)) is flushed

    await until(left_as_it_should_be)


@pytest.mark.parametrize("release", [1, 2], ids=["CRC-32", "SHA-256"])
async def test_what_an_earlier_release_left_in_the_spool_is_indexed_if_its_checksum_is_right(
    start: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch, release: int
) -> None:
    """Its heads have a CRC-32 of the data set, later its SHA-256; these were not named yet."""
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    keeping = await start()
    await pool.execute("alter table instance rename to instance_elsewhere")
    files = [radiograph() for _ in range(3)]
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    await pool.execute("alter table instance_elsewhere rename to instance")
    (path,) = objects.glob("spool/*/*/*.segment")
    content = bytearray(path.read_bytes())
    segment = Segment.open(path, bytes(16))
    for number, head in enumerate(segment.heads()):
        data = content[head.data_at : head.data_at + head.length]
        page = bytearray(content[head.place : head.place + PAGE])
        spoil = number == 1
        page[7] = release
        page[40:44] = (zlib.crc32(data) ^ spoil).to_bytes(4, "little") if release == 1 else bytes(4)
        page[56:60] = bytes(4)
        page[NAME_AT : NAME_AT + 76] = bytes(76)
        if release == 2:
            page[NAME_AT + 44 : NAME_AT + 76] = sha256(data + bytes(spoil)).digest()
        page[56:60] = zlib.crc32(page).to_bytes(4, "little")
        segment.write((bytes(page),), head.place)
    segment.close()
    await start()
    await shelved(pool, objects, 2)
    assert await holds(pool, objects, files[0])
    assert await holds(pool, objects, files[2])


async def test_one_row_that_the_database_never_takes_does_not_hold_back_the_others(
    keeping: Keeping, pool: asyncpg.Pool, objects: Path, radiograph: Write, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin "
        "if new.modality = 'XX' then raise data_exception; end if; return new; end $$"
    )
    await pool.execute("create trigger refuse before insert on instance for each row execute function refuse()")
    files = [radiograph(Modality="XX" if number == 2 else "CR") for number in range(5)]
    await asyncio.gather(*(keep(keeping, file) for file in files))

    async def the_others() -> bool:
        return len(await indexed(pool)) == 4 and "its row cannot be written" in caplog.text

    await until(the_others)


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
    start: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = await start()
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
    await start()
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


async def test_what_has_its_row_is_moved_after_a_start_without_being_read_before(
    start: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.mkdir()
    (objects / "store").write_text("a store that is away")
    files = [radiograph() for _ in range(3)]
    keeping = await start()
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    assert len(await indexed(pool)) == 3
    (objects / "store").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Segment, "read", _not_to_be_called)
        await start()
    await shelved(pool, objects, 3)
    for file in files:
        assert await holds(pool, objects, file)


def _not_to_be_called(*_: object) -> int:
    raise AssertionError("an object that has its row was read")


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


async def test_what_was_answered_but_not_hashed_when_the_process_ended_has_its_row_after_the_next_start(
    start: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "LULL_SECS", 3600)
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", 3600)
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    keeping = await start()
    files = [radiograph() for _ in range(3)]
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    assert await indexed(pool) == {}
    monkeypatch.undo()
    await start()
    assert len(await indexed(pool)) == 3
    await shelved(pool, objects, 3)
    for file in files:
        assert await holds(pool, objects, file)
