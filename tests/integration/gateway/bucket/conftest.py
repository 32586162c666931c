"""What the tests of a bucket may ask for: a real S3 service, a gateway whose objects go there, and a viewer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import httpx
import pytest

from adapters.objects.s3 import S3ObjectStore
from engine import clock
from pacs_gateway import waiting
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.bucket.service import Service
from tests.integration.gateway.conftest import RecordingIntake, channel, running
from tests.integration.gateway.serving import Somebody, viewing

Begin = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path / "s3")
    await service.start()
    yield service
    await service.close()


@pytest.fixture
async def store(service: Service) -> AsyncIterator[S3ObjectStore]:
    store = service.store()
    yield store
    store.close()


@pytest.fixture
async def begin(
    pool: asyncpg.Pool, intake: RecordingIntake, objects: Path, store: S3ObjectStore
) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:

        async def begin(of: S3ObjectStore = store, folder: Path = objects) -> Gateway:
            gateway = Gateway(channel(), pool, intake, folder, clock.now, None, of)
            return await stack.enter_async_context(running(gateway))

        yield begin


@pytest.fixture
async def gateway(begin: Begin) -> Gateway:
    return await begin()


@pytest.fixture
async def viewer(pool: asyncpg.Pool, objects: Path, store: S3ObjectStore) -> AsyncIterator[httpx.AsyncClient]:
    async with viewing(pool, objects, Somebody(), store) as client:
        yield client


@pytest.fixture
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TOLD_AFTER_SECS", 0.0)
