"""Does a database get the tables of this version, however it starts?"""

from __future__ import annotations

import asyncpg


async def test_a_fresh_database_has_the_journal(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("select count(*) from journal") == 0
    assert await pool.fetchval("select version_num from alembic_version") == "0001"


async def test_a_database_of_one_test_knows_nothing_of_another(pool: asyncpg.Pool) -> None:
    await pool.execute("insert into access_token values ('x', 'someone', now())")
    assert await pool.fetchval("select count(*) from access_token") == 1


async def test_nor_the_other_way_round(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("select count(*) from access_token") == 0
