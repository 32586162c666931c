"""A row that the database never takes holds up no other; a person hears of its object, which stays until it has one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from engine import clock
from engine.store import imaging
from pacs_gateway import background, indexing
from pacs_gateway.identify import Identity, identity_of, uids_of
from pacs_gateway.keeping import Keeping
from tests.integration.gateway.conftest import Open, Write
from tests.integration.gateway.sending import announced, data_set_of, indexed, keep, spooled, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "RETRY_SECS", 0.01)
    monkeypatch.setattr(background, "AGAIN_SECS", 0.01)


def uid(file: Path) -> str:
    return announced(file).sop_instance_uid


async def refuse(pool: asyncpg.Pool, condition: str) -> None:
    """Has the database refuse rows of modality XX, for ever."""
    await pool.execute(
        f"create function refuse() returns trigger language plpgsql as $$ begin "
        f"if new.modality = 'XX' then raise {condition}; end if; return new; end $$"
    )
    await pool.execute("create trigger refuse before insert on instance for each row execute function refuse()")


async def told_of(pool: asyncpg.Pool, files: list[Path]) -> None:
    """Waits for the findings of these, and of no others."""

    async def told() -> bool:
        found = await pool.fetch(
            "select severity, location, about, channel from finding "
            "where code = 'object-unindexed' and settled_at is null"
        )
        names = sorted(f"Instance/{uid(file)}" for file in files)
        return sorted(tuple(row) for row in found) == [("error", name, name, "imaging") for name in names]

    await until(told)


@pytest.mark.parametrize("condition", ["data_exception", "program_limit_exceeded", "check_violation"])
async def test_it_holds_up_no_other_and_is_told_and_tried_again_at_the_next_start(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write, condition: str
) -> None:
    await refuse(pool, condition)
    keeping = await open_keeping()
    files = [radiograph(Modality="XX" if number == 2 else "CR") for number in range(5)]
    await asyncio.gather(*(keep(keeping, file) for file in files))
    await told_of(pool, [files[2]])
    assert set(await indexed(pool)) == {uid(file) for number, file in enumerate(files) if number != 2}
    await keeping.close()

    keeping = await open_keeping()
    await told_of(pool, [files[2]])
    assert uid(files[2]) in spooled(objects)
    await keeping.close()

    await pool.execute("drop trigger refuse on instance")
    await open_keeping()
    assert len(await indexed(pool)) == 5
    await told_of(pool, [])

    async def moved() -> bool:
        return spooled(objects) == []

    await until(moved)


async def test_a_label_with_a_nul_within_it_is_indexed(
    open_keeping: Open, pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    file = radiograph(SpecificCharacterSet=["ISO_IR 100", "ISO 2022 IR 58"])
    sent, label = data_set_of(file), b"ISO_IR 100\\ISO 2022 IR 58 "
    assert sent.count(label) == 1
    keeping = await open_keeping()
    arriving = keeping.reception.begin(announced(file))
    arriving.write([memoryview(sent.replace(label, b"ISO_IR 100\\\0\\SO 2022 IR 58"))])
    await arriving.finish()
    assert await keeping.settled()
    assert set(await indexed(pool)) == {uid(file)}


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "at the next start"])
async def test_what_nobody_foresaw_holds_up_no_other(
    open_keeping: Open,
    pool: asyncpg.Pool,
    radiograph: Write,
    monkeypatch: pytest.MonkeyPatch,
    restarted: bool,
) -> None:
    """Neither when a row is made, nor when it is written."""
    files = [radiograph() for _ in range(6)]
    record = imaging.record

    def made(raw: dict[int, bytes]) -> Identity:
        if uids_of(raw).sop_uid == uid(files[1]):
            raise IndexError
        return identity_of(raw)

    async def written(connection: asyncpg.Connection, channel: str, batch: list[imaging.Instance]) -> None:
        if uid(files[3]) in [one.sop_uid for one in batch]:
            raise KeyError
        await record(connection, channel, batch)

    keeping = await open_keeping()
    if restarted:
        monkeypatch.setattr(indexing, "CLOSE_SECS", 0.0)
        await pool.execute("alter table instance rename to instance_elsewhere")
    else:
        monkeypatch.setattr("pacs_gateway.rows.identity_of", made)
        monkeypatch.setattr(imaging, "record", written)
    for file in files:
        await keep(keeping, file)
    if restarted:
        await keeping.close()
        await pool.execute("alter table instance_elsewhere rename to instance")
        monkeypatch.setattr("pacs_gateway.rows.identity_of", made)
        monkeypatch.setattr(imaging, "record", written)
        keeping = await open_keeping()
    await told_of(pool, [files[1], files[3]])
    assert set(await indexed(pool)) == {uid(files[number]) for number in (0, 2, 4, 5)}


async def test_rows_go_on_although_whoever_is_told_of_them_breaks(
    pool: asyncpg.Pool, objects: Path, radiograph: Write
) -> None:
    told = 0

    def breaks_once() -> None:
        nonlocal told
        told += 1
        if told == 1:
            raise RuntimeError

    keeping = Keeping("imaging", pool, objects, clock.now, os.urandom, breaks_once)
    await keeping.start()
    await keep(keeping, radiograph())
    await until(lambda: _so_many(pool, 1))
    await keep(keeping, radiograph())
    await until(lambda: _so_many(pool, 2))
    await keeping.close()
    assert told == 2


async def _so_many(pool: asyncpg.Pool, count: int) -> bool:
    return len(await indexed(pool)) == count


async def test_what_another_process_wrote_at_the_same_moment_is_no_trouble(
    open_keeping: Open, pool: asyncpg.Pool, radiograph: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, tries = imaging.record, 0

    async def once_too_late(connection: asyncpg.Connection, channel: str, batch: list[imaging.Instance]) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncpg.UniqueViolationError
        await record(connection, channel, batch)

    monkeypatch.setattr(imaging, "record", once_too_late)
    keeping = await open_keeping()
    await keep(keeping, radiograph())
    assert await keeping.settled()
    assert len(await indexed(pool)) == 1
    await told_of(pool, [])


async def test_who_waits_is_told_whether_the_rows_are_there(
    open_keeping: Open, pool: asyncpg.Pool, radiograph: Write
) -> None:
    keeping = await open_keeping()
    assert await keeping.settled()
    await pool.execute("alter table instance rename to instance_elsewhere")
    await keep(keeping, radiograph())
    assert not await keeping.settled()
    await pool.execute("alter table instance_elsewhere rename to instance")

    async def there() -> bool:
        return await keeping.settled()

    await until(there)
    assert len(await indexed(pool)) == 1
