"""What every test may ask for: a PostgreSQL, a fresh database in it, a free port."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from engine.store.database import connect_pool
from engine.store.embedded import EmbeddedPostgres
from engine.store.migrations import migrate

_numbers = count(1)


def named(url: str, database: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[EmbeddedPostgres]:
    """One server for the whole session; tests that stop or kill a server start their own."""
    with tempfile.TemporaryDirectory(prefix="hutong-test-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_url(embedded_postgres: EmbeddedPostgres) -> str:
    """The superuser's address of the session's server. Its database is nobody's: use `database_url`."""
    return embedded_postgres.administrator_url


@pytest.fixture(scope="session")
def _migrated_template(embedded_postgres: EmbeddedPostgres) -> str:
    """The application's database, migrated once; each test gets a clone of it."""
    migrate(embedded_postgres.url)
    return "hutong"


@pytest.fixture
async def database_url(
    embedded_postgres: EmbeddedPostgres, postgres_url: str, _migrated_template: str
) -> AsyncIterator[str]:
    """A fresh, migrated database, dropped after the test. The address is the application's own, not the superuser's."""
    name = f"test_{next(_numbers)}"
    administrator = await asyncpg.connect(postgres_url)
    try:
        await administrator.execute(f"create database {name} template {_migrated_template} owner hutong")
        yield named(embedded_postgres.url, name)
        await administrator.execute(f"drop database {name} with (force)")
    finally:
        await administrator.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to the test's fresh database."""
    pool = await connect_pool(database_url, min_size=1, max_size=4)
    yield pool
    pool.terminate()


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
