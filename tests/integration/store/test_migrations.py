"""Does a database get the tables of this version, however it starts?"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from engine.store import migrations
from engine.store.embedded import EmbeddedPostgres
from engine.store.migrations import migrate
from tests.conftest import named


async def test_a_fresh_database_has_the_tables_of_the_newest_version(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("select count(*) from journal") == 0
    newest = max((Path(migrations.__file__).parent / "versions").glob("*.py")).name[:4]
    assert await pool.fetchval("select version_num from alembic_version") == newest


def test_every_sql_file_has_its_step_and_is_run_by_it() -> None:
    folder = Path(migrations.__file__).parent
    files = {path.stem for path in folder.glob("*.sql")}
    assert files == {path.stem for path in (folder / "versions").glob("*.py")}
    for name in files:
        assert f'run_file("{name}.sql")' in (folder / "versions" / f"{name}.py").read_text()


async def test_migrating_again_changes_nothing(database_url: str, pool: asyncpg.Pool) -> None:
    await pool.execute("insert into access_token values ('x', 'someone', now())")
    await asyncio.to_thread(migrate, database_url)
    assert await pool.fetchval("select count(*) from access_token") == 1


async def test_of_several_that_migrate_at_once_one_does_and_all_succeed(
    embedded_postgres: EmbeddedPostgres, postgres_url: str
) -> None:
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute("create database empty_at_first owner hutong")
    url = named(embedded_postgres.url, "empty_at_first")
    program = [
        sys.executable,
        "-c",
        "import sys; from engine.store.migrations import migrate; migrate(sys.argv[1])",
        url,
    ]
    processes = [await asyncio.create_subprocess_exec(*program) for _ in range(2)]
    await asyncio.to_thread(migrate, url)  # the third
    assert [await process.wait() for process in processes] == [0, 0]
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("select count(*) from alembic_version") == 1
    await connection.close()
    await administrator.execute("drop database empty_at_first with (force)")
    await administrator.close()


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    embedded_postgres: EmbeddedPostgres, postgres_url: str
) -> None:
    """`finding` is in the way of the last statements of the first step."""
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute("create database in_the_way owner hutong")
    url = named(embedded_postgres.url, "in_the_way")
    connection = await asyncpg.connect(url)
    await connection.execute("create table finding (mine int)")
    with pytest.raises(asyncpg.DuplicateTableError):
        await asyncio.to_thread(migrate, url)
    assert await connection.fetchval("select array_agg(relname::text) from pg_stat_user_tables") == ["finding"]
    await connection.close()
    await administrator.execute("drop database in_the_way with (force)")
    await administrator.close()


async def test_what_one_test_writes_the_next_does_not_see(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("select count(*) from access_token") == 0
