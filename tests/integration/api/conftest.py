"""What tests of the API start from: the example county, an application, callers and stored resources."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from engine import config
from engine.api.app import create_app
from engine.api.services import Services
from engine.store import access
from engine.store.tokens import tokens_of

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)

Resource = dict[str, Any]
Store = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def community() -> config.Community:
    return config.load(EXAMPLE)


@pytest.fixture
def services(pool: asyncpg.Pool, community: config.Community) -> Services:
    # No route of this part maps anything.
    return Services(pool=pool, config=community, clock=lambda: NOW, mapping_set=cast(Any, None))


@pytest.fixture
def app(services: Services) -> FastAPI:
    return create_app(services)


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
        yield client


@pytest.fixture
def token_of(pool: asyncpg.Pool) -> Callable[[str], Awaitable[str]]:
    async def issued(user_name: str) -> str:
        async with pool.acquire() as connection:
            return await access.issue(connection, user_name, NOW)

    return issued


@pytest.fixture
async def admin(app: FastAPI, token_of: Callable[[str], Awaitable[str]]) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the administrator's token."""
    async with client_with(app, await token_of(access.ADMINISTRATOR)) as client:
        yield client


@pytest.fixture
async def reader(app: FastAPI, token_of: Callable[[str], Awaitable[str]]) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token of a reader, who may see no payload."""
    async with client_with(app, await token_of("wang")) as client:
        yield client


def client_with(app: FastAPI, token: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(
        transport=transport, base_url="http://hub.test", headers={"Authorization": f"Bearer {token}"}
    )


@pytest.fixture
def store(pool: asyncpg.Pool) -> Store:
    """Writes resources as the record does, each a minute after the one before unless `at` says otherwise."""
    clock = iter(NOW + timedelta(minutes=minute) for minute in range(-10_000, 0))

    async def put(*resources: Resource | str, envelope: UUID | None = None, at: datetime | None = None) -> None:
        for resource in resources:
            text = resource if isinstance(resource, str) else json.dumps(resource, ensure_ascii=False)
            body = json.loads(text)
            key = body["resourceType"], body["id"]
            await pool.execute(
                "insert into resource_history select type, id, version, last_updated, body, envelope, actor, mapping "
                "from resource where type = $1 and id = $2",
                *key,
            )
            await pool.execute(
                """
                insert into resource (type, id, version, last_updated, body, tokens, envelope, mapping)
                values ($1, $2, 1, $3, $4, $5, $6, 'ORU_R01@1+abc')
                on conflict (type, id) do update set version = resource.version + 1, body = excluded.body,
                    last_updated = excluded.last_updated, tokens = excluded.tokens, envelope = excluded.envelope
                """,
                *key,
                at or next(clock),
                text,
                tokens_of(body),
                envelope,
            )

    return put
