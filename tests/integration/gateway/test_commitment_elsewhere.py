"""Storage commitment asked of one process for what another has answered: nothing is denied that is on its way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pydicom
import pytest

from engine import clock
from engine.identifiers import ae_destination
from engine.store import commitments
from engine.store.commitments import Named
from pacs_gateway import committing, indexing, keeping, notifying, taking_over
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.gateway import Gateway
from pacs_gateway.segments.lying import lying
from tests.integration.gateway import gateway_process
from tests.integration.gateway.conftest import RecordingIntake, Start, Write, channel
from tests.integration.gateway.sending import PATIENCE_SECS, announced, data_set_of, send_raw, until
from tests.integration.gateway.test_commitment import (
    CR,
    MISSING,
    Modality,
    ask,
    asked,
    failed,
    has_come,
    kept,
    over,
    stored,
)


@pytest.fixture
def modality() -> Iterator[Modality]:
    one = Modality()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "IDLE_SECS", 0.05)
    monkeypatch.setattr(committing, "RETRY_SECS", 0.05)
    monkeypatch.setattr(taking_over, "LOOK_SECS", 0.05)


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are written once somebody of the same process asks for them."""
    monkeypatch.setattr(indexing, "LULL_SECS", 3600.0)
    monkeypatch.setattr(indexing, "SENDERS_FIRST_SECS", 3600.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What was found in the spools, each time that a gateway of this process looked for it."""
    found: list[set[str]] = []

    def looked(objects: Path, facility: str, sop_uids: set[str]) -> set[str]:
        there = lying(objects, facility, sop_uids)
        found.append(there)
        return there

    monkeypatch.setattr(keeping, "lying", looked)
    return found


async def write_rows(gateway: Gateway) -> None:
    assert await gateway._keeping.settled()


@asynccontextmanager
async def another_process(database_url: str, objects: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A gateway that is killed at the end, and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", gateway_process.__name__, database_url, objects, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE_SECS):
            yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_what_another_process_answered_is_waited_for_and_committed(
    start: Start, modality: Modality, radiograph: Write, held_back: None, looks: list[set[str]]
) -> None:
    taker, asked_one = await start(), await start()
    uids = await stored(taker, radiograph, 2)
    request = asked([*((uid, CR) for uid in uids), ("1.2.3.404", CR)])
    async with over(modality, asked_one.port) as association:
        assert await asyncio.to_thread(ask, association, request) == 0
        await has_come(looks, 3)
        assert looks == [set(uids)] * len(looks)
        assert modality.on_own == []
        await write_rows(taker)
        await has_come(modality.on_own)
    ((_, report),) = modality.on_own
    assert (kept(report), failed(report)) == (uids, {"1.2.3.404": MISSING})


async def test_what_was_posted_is_waited_for_and_committed(
    pool: asyncpg.Pool,
    intake: RecordingIntake,
    objects: Path,
    start: Start,
    modality: Modality,
    radiograph: Write,
    held_back: None,
    looks: list[set[str]],
) -> None:
    gateway = await start()
    posted = Posted((channel(),), pool, intake, objects, clock.now)
    file = radiograph()
    uid = announced(file).sop_instance_uid
    try:
        arriving = (await posted.reception()).begin(announced(file))
        arriving.write([memoryview(data_set_of(file))])
        await arriving.finish()
        async with over(modality, gateway.port) as association:
            assert await asyncio.to_thread(ask, association, asked([(uid, CR)])) == 0
            await has_come(looks, 3)
            assert modality.on_own == []
            assert await posted.settled()
            await has_come(modality.on_own)
    finally:
        await posted.close()
    assert kept(modality.on_own[0][1]) == [uid]


async def test_what_has_its_row_is_committed_without_a_look_at_the_spools(
    start: Start, modality: Modality, radiograph: Write, looks: list[set[str]]
) -> None:
    taker, asked_one = await start(), await start()
    uids = await stored(taker, radiograph)
    await write_rows(taker)
    async with over(modality, asked_one.port) as association:
        assert await asyncio.to_thread(ask, association, asked([(uids[0], CR)])) == 0
        await has_come(modality.on_own)
    assert (kept(modality.on_own[0][1]), looks) == (uids, [])


async def test_what_gets_no_row_from_another_process_is_not_waited_for(
    start: Start, pool: asyncpg.Pool, modality: Modality, radiograph: Write
) -> None:
    await pool.execute(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise check_violation; end $$; "
        "create trigger refuse before insert on instance for each row execute function refuse()"
    )
    taker, asked_one = await start(), await start()
    (uid,) = await stored(taker, radiograph)
    async with over(modality, asked_one.port) as association:
        assert await asyncio.to_thread(ask, association, asked([(uid, CR)])) == 0
        await has_come(modality.on_own)
    assert failed(modality.on_own[0][1]) == {uid: MISSING}
    assert await pool.fetchval("select about from finding where code = 'object-unindexed'") == f"Instance/{uid}"


async def test_a_process_that_starts_leaves_to_the_living_what_they_took(
    start: Start,
    pool: asyncpg.Pool,
    modality: Modality,
    radiograph: Write,
    held_back: None,
    looks: list[set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The result comes over the association of the request, of which only its process knows."""
    taker, asked_one = await start(), await start()
    uids = await stored(taker, radiograph)
    unsettled, seen = commitments.unsettled, 0

    async def looked(connection: asyncpg.Connection, channel: str) -> list[commitments.Unsettled]:
        nonlocal seen
        found = await unsettled(connection, channel)
        seen += bool(found)
        return found

    async with over(modality, asked_one.port) as association:
        assert await asyncio.to_thread(ask, association, asked([(uids[0], CR)])) == 0
        await has_come(looks)
        monkeypatch.setattr(commitments, "unsettled", looked)
        await start()

        async def often() -> bool:
            return seen >= 9

        await until(often)
        await write_rows(taker)
        await has_come(modality.on_own)
        assert kept(modality.on_own[0][1]) == uids

        async def told() -> bool:
            return [row["state"] for row in await pool.fetch("select state from delivery")] == ["delivered"]

        await until(told)
    assert await pool.fetchval("select count(*) from finding") == 0
    assert tuple(await pool.fetchrow("select taken_by, times_taken from commitment")) == (1, 1)


async def test_who_asks_again_elsewhere_hears_there_and_only_there(
    start: Start, pool: asyncpg.Pool, modality: Modality, radiograph: Write, held_back: None, looks: list[set[str]]
) -> None:
    taker, asked_first, asked_then = await start(), await start(), await start()
    uids = await stored(taker, radiograph)
    impatient = Modality()
    async with over(modality, asked_first.port) as association, over(impatient, asked_then.port) as another:
        assert await asyncio.to_thread(ask, association, asked([(uids[0], CR)])) == 0
        await has_come(looks)
        assert await asyncio.to_thread(ask, another, asked([(uids[0], CR)])) == 0
        await write_rows(taker)
        await has_come(impatient.on_own)

        async def nobody_settles() -> bool:
            return not asked_first._committer._tasks and not asked_then._committer._tasks

        await until(nobody_settles)
    assert (kept(impatient.on_own[0][1]), modality.on_own) == (uids, [])
    assert await pool.fetchval("select count(*) from delivery") == 1


@pytest.mark.parametrize("process", [1, 0], ids=["a process that died", "a process that never heard that it took it"])
async def test_whoever_is_owed_a_result_of_such_a_process_and_gives_no_address_is_told_of(
    start: Start, pool: asyncpg.Pool, process: int
) -> None:
    await start()
    async with pool.acquire() as connection, connection.transaction():
        await commitments.take(
            connection,
            transaction_uid="1.2.3.77",
            channel="imaging",
            facility="baishi",
            other=ae_destination("imaging", "DR_BAISHI"),
            instances=[Named("1.2.3.404", CR)],
            at=clock.now(),
            process=process,
        )

    async def told() -> bool:
        return bool(
            await pool.fetchval("select count(*) = 1 from finding where code = 'commitment-result-unaddressed'")
        )

    await until(told)


async def test_what_a_killed_process_had_taken_is_settled_by_one_that_lives_once_its_objects_are_in_the_index(
    database_url: str,
    start: Start,
    pool: asyncpg.Pool,
    modality: Modality,
    objects: Path,
    radiograph: Write,
    looks: list[set[str]],
) -> None:
    await asyncio.to_thread(modality.listen)
    await start(ae_entries=(modality.entry(),))
    file = radiograph()
    uid = str(pydicom.dcmread(file).SOPInstanceUID)
    async with (
        another_process(database_url, objects) as (process, port),
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await connection.execute("lock table instance in access exclusive mode")
        assert await asyncio.to_thread(send_raw, port, [file]) == [0]
        association = await asyncio.to_thread(modality.associate, port)
        assert await asyncio.to_thread(ask, association, asked([(uid, CR)])) == 0
        process.kill()
        await process.communicate()
    await asyncio.to_thread(association.abort)
    await has_come(looks, 3)  # by the one that lives
    assert looks == [{uid}] * len(looks)
    assert modality.heard == []
    await start(ae_entries=(modality.entry(),))
    await has_come(modality.heard)
    assert kept(modality.heard[0][1]) == [uid]
    assert await pool.fetchval("select taken_by from commitment") == 0
