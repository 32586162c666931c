"""What is shown as on its way is on its way: a transfer that has ended, in whatever manner, is shown as that or not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import asyncpg
import httpx
import pytest

from engine import clock
from engine.store import transfers
from engine.store.transfers import Direction, Transfer, TransferLine
from pacs_gateway.transfer import incoming
from tests.integration.transfer.attempting import ENDPOINT
from tests.integration.transfer.conftest import SENDS, Archive, BadLine, Hub, Township, performed


async def told(pool: asyncpg.Pool, direction: Direction) -> list[TransferLine]:
    async with pool.acquire() as connection:
        return [line for line in await transfers.listed(connection, 100) if line.direction == direction]


def pieces(most: int) -> Callable[[], bool]:
    left = iter(range(most))
    return lambda: next(left, None) is not None


async def without_one(pool: asyncpg.Pool, archive: Archive) -> None:
    """The study as it was before its last object came."""
    await pool.execute("delete from instance where sop_uid = $1", archive.instances[-1].sop_uid)


async def test_a_transfer_whose_last_answer_was_lost_is_whole(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    fates = iter(["after"])
    sent = await archive.send(BadLine(hub, lambda request: next(fates, None) if request.method == "POST" else None))
    assert sent.whole
    (line,) = await told(pool, Direction.IN)
    assert (line.state, line.objects) == ("whole", 13)
    assert line.done_bytes == line.total_bytes == sum(one.bytes for one in archive.instances)


async def test_a_study_that_is_there_and_is_sent_again_is_whole(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    for _ in range(2):
        await performed(pool, archive, BadLine(hub))
    for direction in Direction:
        (line,) = await told(pool, direction)
        assert line.state == "whole"
        assert line.done_bytes == line.total_bytes > 0


async def test_a_study_that_has_grown_is_one_transfer(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    last = await pool.fetchrow("select * from instance where sop_uid = $1", archive.instances[-1].sop_uid)
    assert last is not None
    await without_one(pool, archive)
    assert (await performed(pool, archive, BadLine(hub), pieces(3))).paused
    places = ", ".join(f"${place}" for place in range(1, len(last) + 1))
    await pool.execute(f"insert into instance ({', '.join(last.keys())}) values ({places})", *last.values())
    assert (await performed(pool, archive, BadLine(hub), pieces(3))).paused
    for direction in Direction:
        (line,) = await told(pool, direction)
        assert (line.state, line.objects) == ("moving", 13)
    assert (await performed(pool, archive, BadLine(hub))).refused == ""
    for direction in Direction:
        (line,) = await told(pool, direction)
        assert (line.state, line.objects) == ("whole", 13)


async def test_a_study_of_which_less_is_left_is_not_on_its_way_any_more(
    hub: Hub, archive: Archive, pool: asyncpg.Pool
) -> None:
    assert (await performed(pool, archive, BadLine(hub), pieces(2))).paused
    await pool.execute("delete from instance where facility = $1", SENDS)
    await performed(pool, archive, BadLine(hub))
    assert await told(pool, Direction.OUT) == []


async def test_what_nobody_continues_for_a_week_is_not_on_its_way(
    hub: Hub, archive: Archive, pool: asyncpg.Pool
) -> None:
    await archive.send(BadLine(hub), may_go_on=pieces(2))
    assert [line.state for line in await told(pool, Direction.IN)] == ["moving"]
    hub.at = incoming.FORGOTTEN * 2
    await hub.incoming.store_what_waits()
    assert await told(pool, Direction.IN) == []


async def test_what_the_other_hub_never_takes_is_not_on_its_way(hub: Hub, archive: Archive, pool: asyncpg.Pool) -> None:
    assert (await performed(pool, archive, BadLine(hub), pieces(2))).paused
    refusal = httpx.MockTransport(lambda _: httpx.Response(415, json={"code": "unsupported-media-type"}))
    assert (await performed(pool, archive, refusal)).refused == (
        "the hub answers 415, unsupported-media-type (unsupported-media-type)"
    )
    assert await told(pool, Direction.OUT) == []


@pytest.mark.parametrize("state", ["moving", "whole"])
async def test_what_nothing_was_heard_of_for_long_is_forgotten(pool: asyncpg.Pool, state: str) -> None:
    at = clock.now()
    begun = Transfer("0" * 64, Direction.OUT, ENDPOINT, SENDS, "1.2.3", 3, 100, 0)
    async with pool.acquire() as connection:
        await transfers.begun(connection, begun, at)
        if state == "whole":
            await transfers.ended(connection, begun.name, Direction.OUT, ENDPOINT, whole=True, at=at)
        await transfers.forget(connection, at - timedelta(seconds=1))
        assert [line.state for line in await transfers.listed(connection, 10)] == [state]
        await transfers.forget(connection, at + timedelta(seconds=1))
        assert await transfers.listed(connection, 10) == []


async def test_a_transfer_of_which_no_row_is_left_is_dropped_in_time_too(
    hub: Hub, archive: Archive, pool: asyncpg.Pool
) -> None:
    await archive.send(BadLine(hub), may_go_on=pieces(4))
    await pool.execute("delete from study_transfer")
    hub.at = incoming.FORGOTTEN * 2
    await hub.incoming.store_what_waits()
    assert list(hub.folder.glob("*/*")) == []
    assert Township.name in {folder.name for folder in hub.folder.iterdir()}
