"""What an earlier process left in the spool has its row before the next takes anything, or never was an object."""

from __future__ import annotations

import zlib
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from pacs_gateway import indexing
from pacs_gateway.keeping import Keeping
from pacs_gateway.segments.record import NAME_AT, PAGE
from pacs_gateway.segments.segment import Segment
from tests.integration.gateway.conftest import Open, Write
from tests.integration.gateway.sending import announced, holds, indexed, keep, shelved, spooled, until


@pytest.fixture
async def keeping(open_keeping: Open) -> Keeping:
    return await open_keeping()


def _not_to_be_called(*_: object) -> int:
    raise AssertionError("an object that has its row was read")


async def left_without_rows(
    open_keeping: Open, pool: asyncpg.Pool, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> list[Path]:
    """Kept by a process that has ended before their rows could be written."""
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    keeping = await open_keeping()
    await pool.execute("alter table instance rename to instance_elsewhere")
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    await pool.execute("alter table instance_elsewhere rename to instance")
    return files


async def test_what_had_no_row_when_the_process_ended_has_one_before_the_next_takes_anything(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = await left_without_rows(open_keeping, pool, [radiograph() for _ in range(5)], monkeypatch)
    assert await indexed(pool) == {}
    await open_keeping()
    assert len(await indexed(pool)) == 5
    await shelved(pool, objects, 5)
    for file in files:
        assert await holds(pool, objects, file)


@pytest.mark.parametrize("flushed", [False, True], ids=["never flushed", "flushed, and damaged by the disk"])
async def test_an_object_whose_bytes_are_not_what_its_head_says_is_dropped_only_if_it_was_never_flushed(
    open_keeping: Open,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    flushed: bool,
) -> None:
    """What a power cut before the flush returned may leave has no name yet; nobody was told that it is kept."""
    files = await left_without_rows(open_keeping, pool, [radiograph() for _ in range(3)], monkeypatch)
    (path,) = objects.glob("spool/*/*/*.segment")
    segment = Segment.open(path, bytes(16))
    second = list(segment.heads())[1]
    segment.write((b"torn",), second.data_at + 300)
    if not flushed:
        segment.write((bytes(44),), second.place + NAME_AT)
    segment.close()
    await open_keeping()

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
    open_keeping: Open,
    pool: asyncpg.Pool,
    objects: Path,
    radiograph: Write,
    monkeypatch: pytest.MonkeyPatch,
    release: int,
) -> None:
    """Its heads have a CRC-32 of the data set, later its SHA-256; these were not named yet."""
    files = await left_without_rows(open_keeping, pool, [radiograph() for _ in range(3)], monkeypatch)
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
    await open_keeping()
    await shelved(pool, objects, 2)
    assert await holds(pool, objects, files[0])
    assert await holds(pool, objects, files[2])


async def test_what_has_its_row_is_moved_after_a_start_without_being_read_before(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.mkdir()
    (objects / "store").write_text("a store that is away")
    files = [radiograph() for _ in range(3)]
    keeping = await open_keeping()
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    assert len(await indexed(pool)) == 3
    (objects / "store").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Segment, "read", _not_to_be_called)
        await open_keeping()
    await shelved(pool, objects, 3)
    for file in files:
        assert await holds(pool, objects, file)


async def test_what_was_answered_but_not_hashed_when_the_process_ended_has_its_row_after_the_next_start(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "LULL_SECS", 3600)
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", 3600)
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.01)
    keeping = await open_keeping()
    files = [radiograph() for _ in range(3)]
    for file in files:
        await keep(keeping, file)
    await keeping.close()
    assert await indexed(pool) == {}
    monkeypatch.undo()
    await open_keeping()
    assert len(await indexed(pool)) == 3
    await shelved(pool, objects, 3)
    for file in files:
        assert await holds(pool, objects, file)
