"""A hub does not start on a database that could lose what it has committed, and says which setting to change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from engine.store.embedded import EmbeddedPostgres, settings
from tests.conftest import named
from tests.integration.faults.community import community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.serving import START_SECS, hub_folder, until

DATABASE = "unsafe"
SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """One whose durability may be changed, as that of a server of somebody else."""
    with pytest.MonkeyPatch.context() as patch, hub_folder({}) as folder:
        for name in SETTINGS:
            patch.delitem(settings.FIXED, name)
        server = EmbeddedPostgres(folder / "postgres")
        with server:
            yield server


@pytest.fixture
async def administrator(server: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(server.administrator_url)
    await connection.execute(f"create database {DATABASE} owner hutong template template0")
    yield connection
    await connection.execute(f"drop database {DATABASE} with (force)")
    await connection.execute("alter system reset all")
    await connection.execute("select pg_reload_conf()")
    await until("every setting is safe again", lambda: switched_off(server, []))
    await connection.close()


async def switched_off(server: EmbeddedPostgres, expected: list[str]) -> bool:
    """Whether just these settings are off for whoever comes now: the server reads its configuration in its own time."""
    newcomer = await asyncpg.connect(server.administrator_url)
    try:
        off = [name for name in SETTINGS if await newcomer.fetchval("select current_setting($1)", name) == "off"]
    finally:
        await newcomer.close()
    return off == expected


@pytest.mark.parametrize("setting", SETTINGS)
async def test_a_database_that_does_not_flush_is_refused_by_name(
    serve: Serve, server: EmbeddedPostgres, administrator: asyncpg.Connection, setting: str
) -> None:
    await administrator.execute(f"alter system set {setting} = off")
    await administrator.execute("select pg_reload_conf()")
    await until("it is off", lambda: switched_off(server, [setting]))
    hub = serve(community(), only="engine", database_url=named(server.url, DATABASE))
    process = hub.launch()
    assert await asyncio.to_thread(process.wait, START_SECS) == 1
    said = hub.said().strip()
    assert said.startswith(f"hutong: the database has {setting} off, so an acknowledged message could be lost")
    assert "\n" not in said, "one line, not a traceback"
    assert not (hub.data / "run.json").exists()
    assert hub.left_running() == []
