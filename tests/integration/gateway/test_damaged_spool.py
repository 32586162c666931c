"""Whatever the disk has damaged in the spool, the gateway starts, the rest is indexed, and a person hears of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import asyncpg
import pytest

from engine.errors import StorageError
from pacs_gateway import indexing
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment
from tests.integration.gateway.conftest import Open, Write
from tests.integration.gateway.sending import indexed, keep, until

Left = tuple[Path, list[Head]]


@pytest.fixture
async def left(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> Left:
    """The segment of three objects that were answered and have no row yet, and whose process has ended."""
    with monkeypatch.context() as patched:
        patched.setattr(indexing, "CLOSE_SECS", 0.0)
        keeping = await open_keeping()
        await pool.execute("alter table instance rename to instance_elsewhere")
        for _ in range(3):
            await keep(keeping, radiograph())
        await keeping.close()
        await pool.execute("alter table instance_elsewhere rename to instance")
    (path,) = objects.glob("spool/*/*/*.segment")
    segment = Segment.open(path, bytes(16))
    heads = list(segment.heads())
    segment.close()
    return path, heads


async def open_findings(pool: asyncpg.Pool) -> list[tuple[str, str, str | None, str]]:
    rows = await pool.fetch("select code, severity, about, channel from finding where settled_at is null")
    return [tuple(row) for row in rows]


async def moved(objects: Path, count: int) -> None:
    """Waits until so many objects are in the store."""

    async def so_many() -> bool:
        return len(list((objects / "store").rglob("*.dcm"))) == count

    await until(so_many)


async def test_of_three_objects_whose_first_head_is_spoilt_the_others_are_indexed_and_their_segment_is_kept(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, left: Left
) -> None:
    path, heads = left
    with path.open("r+b") as file:
        file.seek(heads[0].place)
        file.write(b"rotten!!")
    before = path.read_bytes()
    keeping = await open_keeping()
    assert set(await indexed(pool)) == {heads[1].sop_uid, heads[2].sop_uid}
    await moved(objects, 2)
    damaged = path.with_name(path.name.replace(".segment", ".damaged.segment"))
    told = [("spool-damaged", "error", f"Spool/imaging/{damaged.name}", "imaging")]
    assert await open_findings(pool) == told

    for _ in range(3):
        await keep(keeping, radiograph())
    await moved(objects, 5)
    await keeping.close()
    await open_keeping()
    assert await open_findings(pool) == told
    after = damaged.read_bytes()
    assert all(after[at : at + 64] == before[at : at + 64] for at in (0, *(head.place for head in heads)))
    assert all(
        after[head.data_at : head.data_at + head.length] == before[head.data_at : head.data_at + head.length]
        for head in heads
    )


async def test_a_damage_that_a_person_has_settled_is_not_told_again(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, left: Left
) -> None:
    path, heads = left
    with path.open("r+b") as file:
        file.seek(heads[2].place)
        file.write(b"rotten!!")
    await (await open_keeping()).close()
    await pool.execute("update finding set settled_at = now(), settled_by = 'somebody'")
    await open_keeping()
    assert await open_findings(pool) == []
    assert list(objects.glob("spool/*/*/*.damaged.segment")) != []


async def test_an_object_that_the_disk_does_not_give_back_is_told_and_the_others_are_indexed(
    open_keeping: Open, pool: asyncpg.Pool, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, heads = left
    read = Segment.read

    def unreadable(self: Segment, buffer: memoryview, at: int) -> int:
        if heads[1].data_at <= at < heads[1].after:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(self, buffer, at)

    monkeypatch.setattr(Segment, "read", unreadable)
    await open_keeping()
    assert set(await indexed(pool)) == {heads[0].sop_uid, heads[2].sop_uid}
    assert await open_findings(pool) == [("object-damaged", "error", f"Instance/{heads[1].sop_uid}", "imaging")]


@pytest.mark.parametrize("spoilt", ["sha256", "name"])
async def test_a_head_that_can_be_read_once_only_is_no_reason_not_to_listen(
    open_keeping: Open, pool: asyncpg.Pool, left: Left, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    error: Exception = OSError(errno.EIO, os.strerror(errno.EIO))
    if spoilt == "name":
        error = StorageError("the spool could not take an object: Input/output error")

    def fails(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(Segment, spoilt, fails)
    await open_keeping()
    assert len(await indexed(pool)) == 3
    assert await open_findings(pool) == []
