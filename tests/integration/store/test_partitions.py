"""Does every envelope find the part of its month, whenever the part was made?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from engine.clock import CHINA
from engine.store.partitions import Month, ensure_partitions

NOVEMBER = datetime(2026, 11, 21, 12, tzinfo=UTC)
TABLES = ("journal", "outcome", "past_lane")


def envelope_id(moment: datetime, rest: int = 0x7000_8000_0000_0000_0001) -> UUID:
    """A UUIDv7 of that moment."""
    return UUID(int=(int(moment.timestamp() * 1000) << 80) | rest)


async def journal(connection: asyncpg.Connection, identifier: UUID) -> None:
    await connection.execute(
        """
        insert into journal values
            ($1, 'hl7v2', 'c', 'f', 'p', now(), 'ADT^A04', '1', '\\x00', '\\x0b', '\\x06')
        """,
        identifier,
    )


async def part_of(connection: asyncpg.Connection, identifier: UUID) -> str:
    name = await connection.fetchval("select tableoid::regclass::text from journal where id = $1", identifier)
    return str(name)


@pytest.mark.parametrize(
    ("moment", "part"),
    [
        (datetime(2026, 10, 1, tzinfo=UTC), "journal_2026_10"),
        (datetime(2026, 10, 31, 23, 59, 59, 999_000, tzinfo=UTC), "journal_2026_10"),
        (datetime(2026, 11, 1, tzinfo=UTC), "journal_2026_11"),
        (datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "journal_2026_12"),
        (datetime(2027, 1, 1, tzinfo=UTC), "journal_2027_01"),
        (datetime(2027, 1, 1, 7, 59, tzinfo=CHINA), "journal_2026_12"),
        (datetime(2026, 9, 30, 23, 59, 59, 999_000, tzinfo=UTC), "journal_default"),
        (datetime(2027, 2, 1, tzinfo=UTC), "journal_default"),
    ],
)
@pytest.mark.parametrize("rest", [0, 0x7000_8000_0000_0000_0000, (1 << 80) - 1], ids=["lowest", "usual", "highest"])
async def test_an_envelope_lies_in_the_part_of_its_month(
    pool: asyncpg.Pool, moment: datetime, part: str, rest: int
) -> None:
    async with pool.acquire() as connection:
        await ensure_partitions(connection, NOVEMBER)
        identifier = envelope_id(moment, rest)
        await journal(connection, identifier)
        assert await part_of(connection, identifier) == part


def test_months_count_over_the_turn_of_the_year() -> None:
    assert Month(2026, 12).plus(1) == Month(2027, 1)
    assert Month(2026, 1).plus(-1) == Month(2025, 12)
    assert Month(2026, 11).plus(14) == Month(2028, 1)
    assert Month.of(datetime(2027, 1, 1, 7, tzinfo=CHINA)) == Month(2026, 12)


async def test_four_parts_of_each_table_are_made_and_none_twice(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        made = await ensure_partitions(connection, NOVEMBER)
        months = ("2026_10", "2026_11", "2026_12", "2027_01")
        assert made == [f"{table}_{month}" for table in TABLES for month in months]
        assert await ensure_partitions(connection, NOVEMBER) == []
        assert await ensure_partitions(connection, NOVEMBER + timedelta(days=31)) == [f"{t}_2027_02" for t in TABLES]


async def test_several_processes_may_make_them_at_once(pool: asyncpg.Pool) -> None:
    async def make() -> list[str]:
        async with pool.acquire() as connection:
            return await ensure_partitions(connection, NOVEMBER)

    made = await asyncio.gather(*(make() for _ in range(4)))
    assert sum(len(each) for each in made) == 4 * len(TABLES)


async def test_envelopes_that_went_to_the_default_part_move_into_their_own(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        early = [envelope_id(datetime(2026, 11, day, tzinfo=UTC)) for day in (1, 15, 30)]
        elsewhere = envelope_id(datetime(2025, 1, 1, tzinfo=UTC))
        for identifier in (*early, elsewhere):
            await journal(connection, identifier)
        await ensure_partitions(connection, NOVEMBER)
        assert {await part_of(connection, identifier) for identifier in early} == {"journal_2026_11"}
        assert await part_of(connection, elsewhere) == "journal_default"
        assert await connection.fetchval("select count(*) from journal") == 4
        assert await connection.fetchval("select payload from journal where id = $1", early[0]) == b"\x0b"


async def test_an_envelope_that_arrives_while_a_part_is_made_is_not_lost(pool: asyncpg.Pool) -> None:
    """Intake goes on during it; whichever is first, the envelope lies in the journal and can be found by its id.

    One that was on its way into the default part when that gave up its month is refused, and sent again.
    """

    async def arrive(number: int) -> UUID:
        identifier = envelope_id(NOVEMBER, number)
        async with pool.acquire() as connection:
            try:
                await journal(connection, identifier)
            except asyncpg.CheckViolationError:
                await journal(connection, identifier)
        return identifier

    async def make() -> None:
        async with pool.acquire() as connection:
            await ensure_partitions(connection, NOVEMBER)

    *arrived, _ = await asyncio.gather(*(arrive(number) for number in range(60)), make())
    for identifier in arrived:
        assert identifier is not None
        assert await pool.fetchval("select count(*) from journal where id = $1", identifier) == 1


async def test_a_part_has_the_indexes_and_the_storage_of_the_journal(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await ensure_partitions(connection, NOVEMBER)
        assert (
            await connection.fetchval("select count(*) from pg_indexes where tablename = 'journal_2026_11'")
            == await connection.fetchval("select count(*) from pg_indexes where tablename = 'journal'")
            == 2
        )
        storage = await connection.fetchval(
            "select attstorage from pg_attribute where attrelid = 'journal_2026_11'::regclass and attname = 'payload'"
        )
        assert storage == b"e"


async def test_within_a_transaction_of_the_caller_they_come_and_go_with_it(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await ensure_partitions(connection, NOVEMBER)
        await transaction.rollback()
        assert len(await ensure_partitions(connection, NOVEMBER)) == 4 * len(TABLES)
