"""Who remembers a row hears from the database when another process changes it, and trusts nothing while it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from engine.store import access, changes
from engine.store.remembered import Remembered

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Memory = Remembered[str, int]


@pytest.fixture
async def memories(pool: asyncpg.Pool, database_url: str) -> AsyncIterator[tuple[Memory, Memory]]:
    tokens, instances = Memory(10, 3600.0), Memory(10, 3600.0)
    heard = changes.Changes(database_url, [(changes.ACCESS_TOKEN, tokens), (changes.INSTANCE, instances)])
    heard.start()
    await until(lambda: kept(tokens) and kept(instances))
    yield tokens, instances
    await heard.close()
    assert not kept(tokens)


async def test_a_revoked_token_is_forgotten_and_nothing_else(
    memories: tuple[Memory, Memory], pool: asyncpg.Pool
) -> None:
    tokens, instances = memories
    async with pool.acquire() as connection:
        await access.issue(connection, "li", NOW)
        assert await access.revoke_all(connection, "li", NOW) == 1
    await until(lambda: tokens.get("a") is None)
    assert instances.get("a") == 1


@pytest.mark.parametrize("statement", ["update instance set number = 2", "delete from instance"])
async def test_a_changed_instance_is_forgotten(
    memories: tuple[Memory, Memory], pool: asyncpg.Pool, statement: str
) -> None:
    tokens, instances = memories
    await pool.execute(statement)
    await until(lambda: instances.get("a") is None)
    assert tokens.get("a") == 1


async def test_a_line_that_breaks_is_trusted_again_when_there_is_a_new_one(
    memories: tuple[Memory, Memory], pool: asyncpg.Pool
) -> None:
    tokens, _ = memories
    await pool.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
        "and query like 'LISTEN%' and datname = current_database()"
    )
    await until(lambda: tokens.get("a") is None)
    await until(lambda: kept(tokens))


def kept(memory: Memory) -> bool:
    """Whether what is put is told again."""
    memory.put(memory.begin(), "a", 1)
    return memory.get("a") == 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 what is waited for happens in another process
            await asyncio.sleep(0.01)
