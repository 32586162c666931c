"""Does hutong refuse a database that could lose what it acknowledged, and say so clearly?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from engine.errors import ConfigurationError, StorageError
from engine.store import migrations
from engine.store.database import connect, connect_pool, refuse_unsafe
from engine.store.embedded import EmbeddedPostgres, settings
from tests.conftest import named


@pytest.fixture
async def administrator(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgres_url)
    yield connection
    await connection.close()


async def refusal(url: str) -> ConfigurationError:
    connection = await connect(url)
    try:
        with pytest.raises(ConfigurationError) as caught:
            await refuse_unsafe(connection)
    finally:
        await connection.close()
    return caught.value


async def test_the_embedded_database_is_safe(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await refuse_unsafe(connection)


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
async def test_a_server_that_does_not_flush_is_refused(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(settings.FIXED, name, "off")
    with EmbeddedPostgres(prepared) as url:
        error = await refusal(url)
    assert error.code == "database-not-durable"
    assert name in error.message


async def test_asynchronous_commit_is_refused_wherever_it_was_set(
    database_url: str, administrator: asyncpg.Connection
) -> None:
    await administrator.execute(f'alter database "{database_url_name(database_url)}" set synchronous_commit = off')
    error = await refusal(database_url)
    assert error.code == "database-not-durable"
    assert "synchronous_commit" in error.message


def database_url_name(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


async def test_another_encoding_is_refused(postgres_url: str, administrator: asyncpg.Connection) -> None:
    await administrator.execute(
        "create database old_latin encoding 'LATIN1' locale_provider libc locale 'C' template template0"
    )
    try:
        assert (await refusal(named(postgres_url, "old_latin"))).code == "database-encoding"
    finally:
        await administrator.execute("drop database old_latin with (force)")


async def test_an_old_server_is_refused(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setattr("engine.store.database.OLDEST_SERVER", 990_000)
    assert (await refusal(database_url)).code == "database-too-old"


def test_an_unsafe_database_is_not_even_migrated(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.FIXED, "fsync", "off")
    with EmbeddedPostgres(prepared) as url, pytest.raises(ConfigurationError):
        migrations.migrate(url)


async def test_a_server_that_is_away_may_come_back(prepared: Path) -> None:
    server = EmbeddedPostgres(prepared)
    url = server.start()
    server.stop()
    for attempt in (connect, connect_pool):
        with pytest.raises(StorageError) as caught:
            await attempt(url)
        assert caught.value.code == "database-unreachable"


@pytest.mark.parametrize("wrong", ["mysql://x/y", "nonsense"])
async def test_an_address_that_is_none_is_a_mistake_of_configuration(wrong: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await connect(wrong)
    assert caught.value.code == "database-address"


async def test_a_database_that_does_not_exist_is_a_mistake_of_configuration(postgres_url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await connect(named(postgres_url, "no_such_database"))
    assert caught.value.code == "database-address"
    assert "no_such_database" in caught.value.message


async def test_json_keeps_the_digits_of_its_numbers(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("""select '{"value": 5.10}'::jsonb""") == '{"value": 5.10}'
