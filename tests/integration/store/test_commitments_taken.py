"""A request for storage commitment is settled by whoever took it last, and taken over once."""

from __future__ import annotations

import asyncio

import asyncpg

from engine import clock
from engine.store import commitments
from engine.store.commitments import Named, Taken, Unsettled

INSTANCES = [Named("1.2.3.1", "1.2"), Named("1.2.3.2", "1.2")]


async def take(pool: asyncpg.Pool, process: int | None, transaction_uid: str = "1.2.3.77") -> Taken:
    async with pool.acquire() as connection, connection.transaction():
        return await commitments.take(
            connection,
            transaction_uid=transaction_uid,
            channel="imaging",
            facility="baishi",
            other="imaging/DR_BAISHI",
            instances=INSTANCES,
            at=clock.now(),
            process=process,
        )


async def take_over(pool: asyncpg.Pool, left: list[Taken], process: int) -> list[Taken]:
    async with pool.acquire() as connection:
        return await commitments.take_over(connection, left, process)


async def waits(pool: asyncpg.Pool, taken: Taken) -> bool:
    async with pool.acquire() as connection:
        return await commitments.waits(connection, taken)


async def unsettled(pool: asyncpg.Pool) -> list[Unsettled]:
    async with pool.acquire() as connection:
        return await commitments.unsettled(connection, "imaging")


async def test_it_waits_for_whoever_took_it_until_it_is_settled(pool: asyncpg.Pool) -> None:
    taken = await take(pool, 3)
    assert await unsettled(pool) == [Unsettled(taken, 3)]
    assert await waits(pool, taken)
    async with pool.acquire() as connection, connection.transaction():
        assert await commitments.settle(connection, taken.id, [0, 0x0112], clock.now())
    assert not await waits(pool, taken)
    assert await unsettled(pool) == []


async def test_the_same_request_again_waits_for_whoever_took_it_then(pool: asyncpg.Pool) -> None:
    first, again = await take(pool, 3), await take(pool, 3)
    assert first.id == again.id
    assert [await waits(pool, one) for one in (first, again)] == [False, True]
    assert await unsettled(pool) == [Unsettled(again, 3)]


async def test_it_is_taken_over_once_by_several_at_the_same_moment(pool: asyncpg.Pool) -> None:
    left = [await take(pool, None, f"1.2.3.{number}") for number in range(20)]
    found = await asyncio.gather(*(take_over(pool, left[:: 1 - 2 * (number % 2)], number) for number in range(4)))
    assert sorted(one.id for taken in found for one in taken) == [one.id for one in left]
    for taken in found:
        assert [one.id for one in taken] == sorted(one.id for one in taken)
        assert all([await waits(pool, one) for one in taken])
    assert not any([await waits(pool, one) for one in left])


async def test_what_was_taken_again_or_settled_since_it_was_seen_is_not_taken_over(pool: asyncpg.Pool) -> None:
    seen = [await take(pool, 3, f"1.2.3.{number}") for number in range(3)]
    again = await take(pool, 1, "1.2.3.0")
    async with pool.acquire() as connection, connection.transaction():
        await commitments.settle(connection, seen[1].id, [0, 0], clock.now())
    taken = await take_over(pool, seen, 2)
    assert [one.id for one in taken] == [seen[2].id]
    assert await unsettled(pool) == [Unsettled(again, 1), Unsettled(taken[0], 2)]


async def test_what_we_ask_of_others_is_nobodys_to_settle(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await commitments.take(
            connection,
            transaction_uid="1.2.3.77",
            channel="imaging",
            facility="baishi",
            other="archive",
            instances=INSTANCES,
            at=clock.now(),
            by_us=True,
        )
    assert await unsettled(pool) == []
