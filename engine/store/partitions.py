"""Which month's part does an envelope lie in?

The journal, and what is kept of each envelope beside it, are parted by the time inside the envelope's id: a UUIDv7
begins with milliseconds since 1970 (RFC 9562, 5.7), so a month is a range of ids. Months are UTC's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from engine.errors import ConfigurationError

BEFORE = 1
"""An envelope that was accepted at the end of last month may be committed in this one."""
AHEAD = 2
"""Parts made in advance: a hub that nobody restarts for a month still finds its part."""

LOCK = 0x68757470
"""Advisory lock, so that two processes make one part."""


@dataclass(frozen=True, slots=True)
class Parted:
    """A table in parts: `key` is the column that holds the envelope's id, `storage` how a part is made."""

    table: str
    key: str
    storage: str = ""


JOURNAL = Parted("journal", "id", "with (toast_tuple_target = 8160)")
"""A message of a few kilobytes stands in its row."""
PARTED = (JOURNAL, Parted("outcome", "envelope"), Parted("past_lane", "envelope"))


@dataclass(frozen=True, slots=True, order=True)
class Month:
    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        utc = moment.astimezone(UTC)
        return cls(utc.year, utc.month)

    @classmethod
    def named(cls, text: str) -> Month:
        """`2026-05`. Raises ConfigurationError for anything else."""
        match = re.fullmatch(r"([0-9]{4})-([0-9]{2})", text)
        if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1970:
            raise ConfigurationError(f"expected a month such as 2026-05, found '{text[:20]}'")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    def plus(self, months: int) -> Month:
        years, number = divmod(self.year * 12 + self.number - 1 + months, 12)
        return Month(years, number + 1)

    def part(self, table: str) -> str:
        """The name of this month's part of a table."""
        return f"{table}_{self.year:04d}_{self.number:02d}"

    @property
    def first_id(self) -> UUID:
        """The smallest UUID of this month; version and variant bits are left out, so that none is smaller."""
        milliseconds = int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp()) * 1000
        return UUID(int=milliseconds << 80)


async def ensure_partitions(connection: asyncpg.Connection, now: datetime) -> list[str]:
    """Makes the parts of last month, this one and the next two, and returns those it made.

    May be called at any time, by several processes at once. Rows that had to go to the default part meanwhile are
    moved into the new one.
    """
    this = Month.of(now)
    made: list[str] = []
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        there = await parts(connection)
        for parted in PARTED:
            for month in map(this.plus, range(-BEFORE, AHEAD + 1)):
                if month.part(parted.table) not in there:
                    await make_part(connection, parted, month)
                    made.append(month.part(parted.table))
    return made


async def parts(connection: asyncpg.Connection) -> set[str]:
    """The names of all parts that there are, the default ones included."""
    rows = await connection.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = any($1::text[]::regclass[])",
        [parted.table for parted in PARTED],
    )
    return {row["name"] for row in rows}


async def make_part(connection: asyncpg.Connection, parted: Parted, month: Month) -> None:
    """Makes one month's part of one table, where there is none.

    Attaching a finished table locks its parent more mildly than creating a part of it would.
    """
    low, high = month.first_id, month.plus(1).first_id
    table, part = parted.table, month.part(parted.table)
    async with connection.transaction():
        await connection.execute(
            f"create table {part} (like {table} including defaults including storage) {parted.storage}"
        )
        # The default part is locked before its rows are read: none may arrive between moving and attaching.
        await connection.execute(f"lock table {table}_default in access exclusive mode")
        await connection.execute(
            f"""
            with moved as (delete from {table}_default where {parted.key} >= $1 and {parted.key} < $2 returning *)
            insert into {part} select * from moved
            """,
            low,
            high,
        )
        await connection.execute(f"alter table {table} attach partition {part} for values from ('{low}') to ('{high}')")
