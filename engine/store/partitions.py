"""Which month's part of the journal does an envelope lie in?

The journal is parted by the time inside its ids: a UUIDv7 begins with milliseconds since 1970 (RFC 9562, 5.7), so a
month is a range of ids. Months are UTC's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

BEFORE = 1
"""An envelope that was accepted at the end of last month may be committed in this one."""
AHEAD = 2
"""Parts made in advance: a hub that nobody restarts for a month still finds its part."""

LOCK = 0x68757470
"""Advisory lock, so that two processes make one part."""


@dataclass(frozen=True, slots=True)
class Month:
    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        utc = moment.astimezone(UTC)
        return cls(utc.year, utc.month)

    def plus(self, months: int) -> Month:
        years, number = divmod(self.year * 12 + self.number - 1 + months, 12)
        return Month(years, number + 1)

    @property
    def table(self) -> str:
        return f"journal_{self.year:04d}_{self.number:02d}"

    @property
    def first_id(self) -> UUID:
        """The smallest UUID of this month; version and variant bits are left out, so that none is smaller."""
        milliseconds = int(datetime(self.year, self.number, 1, tzinfo=UTC).timestamp()) * 1000
        return UUID(int=milliseconds << 80)


async def ensure_partitions(connection: asyncpg.Connection, now: datetime) -> list[str]:
    """Makes the parts of last month, this one and the next two, and returns those it made.

    May be called at any time, by several processes at once. Envelopes that had to go to the default part meanwhile
    are moved into the new one.
    """
    this = Month.of(now)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        there = {
            row["name"]
            for row in await connection.fetch(
                "select inhrelid::regclass::text as name from pg_inherits where inhparent = 'journal'::regclass"
            )
        }
        missing = [m for m in map(this.plus, range(-BEFORE, AHEAD + 1)) if m.table not in there]
        for month in missing:
            await _make(connection, month)
    return [month.table for month in missing]


async def _make(connection: asyncpg.Connection, month: Month) -> None:
    """Attaching a finished table locks the journal more mildly than creating a part of it would."""
    low, high = month.first_id, month.plus(1).first_id
    await connection.execute(
        f"create table {month.table} (like journal including defaults including storage) "
        "with (toast_tuple_target = 8160)"  # a message of a few kilobytes stands in its row
    )
    # The default part is locked before its rows are read: none may arrive between moving and attaching.
    await connection.execute("lock table journal_default in access exclusive mode")
    await connection.execute(
        f"""
        with moved as (delete from journal_default where id >= $1 and id < $2 returning *)
        insert into {month.table} select * from moved
        """,
        low,
        high,
    )
    await connection.execute(
        f"alter table journal attach partition {month.table} for values from ('{low}') to ('{high}')"
    )
