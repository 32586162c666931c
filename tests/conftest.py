"""What every test may ask for: a PostgreSQL, a fresh database in it, a free port."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest

from engine.store.database import connect_pool
from engine.store.embedded import EmbeddedPostgres
from engine.store.migrations import migrate
from tests import ports

_numbers = count(1)

IN_USE_SECS = 60.0
"""PostgreSQL itself waits 5 s for those who still use a database, which is little on a machine that does much else."""

# A property is tried with the same examples each time, so that a test fails for what was changed and not by chance; how
# long an example takes proves nothing. `--hypothesis-profile=searching` looks for further ones.
hypothesis.settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("searching", hypothesis.settings.get_profile("steady"), derandomize=False)
hypothesis.settings.load_profile("steady")


MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 1024**3
LITTLE_ROOM = {"min_wal_size": "64MB", "max_wal_size": "256MB"}


def _roomy_memory() -> Path | None:
    """Where files need no disk, if there is plenty of room: a database of its own for each test makes a disk busy."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else None


def named(url: str, database: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[EmbeddedPostgres]:
    """One server for the whole session; tests that stop or kill a server start their own."""
    with tempfile.TemporaryDirectory(prefix="hutong-test-", dir=_roomy_memory()) as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", tuning=LITTLE_ROOM)
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
        await unless_in_use(administrator, f"create database {name} template {_migrated_template} owner hutong")
        yield named(embedded_postgres.url, name)
        await unless_in_use(administrator, f"drop database {name} with (force)")
    finally:
        await administrator.close()


async def unless_in_use(administrator: asyncpg.Connection, statement: str) -> None:
    """Tries again while somebody who is leaving has not left yet."""
    async with asyncio.timeout(IN_USE_SECS):
        while True:
            try:
                await administrator.execute(statement)
            except asyncpg.ObjectInUseError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to the test's fresh database."""
    pool = await connect_pool(database_url, min_size=1, max_size=4)
    yield pool
    pool.terminate()


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, and that nothing but the test will take."""
    return ports.free_port()
