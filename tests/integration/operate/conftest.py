"""A hub without sockets and the people who operate it: the real intake, pipeline and API on a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from engine import config
from engine.api.app import create_app
from engine.api.services import Services
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.store import access
from tests.integration.engine.conftest import EXAMPLE, Hub

As = Callable[[str], Awaitable[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def community() -> Community:
    return config.load(EXAMPLE)


@pytest.fixture(scope="session")
def mappings(community: Community) -> MappingSet:
    return mappings_of(community)


@pytest.fixture
async def hub(database_url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet) -> AsyncIterator[Hub]:
    hub = Hub(database_url, pool, community, mappings)
    await hub.intake.start()
    yield hub
    await hub.intake.close()


@pytest.fixture
async def as_user(hub: Hub, community: Community, mappings: MappingSet) -> AsyncIterator[As]:
    """A client with the token of a user of the example: `admin` is an integrator, `wang` a reader."""
    app = create_app(Services(pool=hub.pool, config=community, clock=now, mapping_set=mappings))
    async with AsyncExitStack() as clients:

        async def client(name: str) -> httpx.AsyncClient:
            async with hub.pool.acquire() as connection:
                token = await access.issue(connection, name, now())
            return await clients.enter_async_context(
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
                    base_url="http://hub.test",
                    headers={"Authorization": f"Bearer {token}"},
                )
            )

        yield client


@pytest.fixture
async def it(as_user: As) -> httpx.AsyncClient:
    """The hospital's IT: an integrator."""
    return await as_user("admin")


async def ask(client: httpx.AsyncClient, path: str, *, expected: int = 200, **body: Any) -> dict[str, Any]:
    """A POST whose answer must have the expected status."""
    answer = await client.post(path, json=body)
    assert answer.status_code == expected, answer.text
    told: dict[str, Any] = answer.json()
    return told


def changed(folder: Path, name: str, before: str, after: str) -> None:
    """Changes a file of a copy; what is to be changed must be there."""
    file = folder / name
    text = file.read_text(encoding="utf-8")
    assert before in text, f"{name} does not say {before}"
    file.write_text(text.replace(before, after), encoding="utf-8")
