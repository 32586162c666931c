"""What one endpoint or one request does to us is no matter of the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from engine import config
from engine.clock import now
from engine.config import Community, MllpEndpoint
from engine.delivery import Couriers
from engine.ports import Sender
from engine.store import outbox
from engine.store.outbox import Owed
from tests.integration.delivery.conftest import forwarding
from tests.integration.faults.serving import hub_folder, until

NAME = "石秀英"


class Accepting:
    """Takes everything."""

    async def send(self, payload: bytes, control_id: str) -> bytes:
        return b"receipt of " + payload

    async def close(self) -> None:
        return


class Breaking(Accepting):
    """Fails in a way that no sender should."""

    async def send(self, payload: bytes, control_id: str) -> bytes:
        raise RuntimeError(f"{NAME} broke it")


@pytest.fixture
def town() -> Iterator[Community]:
    files, _ = forwarding({"his": ("bad", "good")})
    with hub_folder(files) as folder:
        yield config.load(folder / "community")


@asynccontextmanager
async def delivering(town: Community, database_url: str) -> AsyncIterator[None]:
    def make_sender(endpoint: MllpEndpoint) -> Sender:
        return Breaking() if endpoint.name == "bad" else Accepting()

    couriers = asyncio.create_task(Couriers(database_url, town, make_sender, now).run())
    try:
        yield
        assert not couriers.done()
    finally:
        couriers.cancel()
        await asyncio.wait([couriers])


async def owe(pool: asyncpg.Pool, endpoint: str, about: str | None = None) -> None:
    async with pool.acquire() as connection:
        await outbox.owe(connection, [Owed(uuid4(), endpoint, "D1", b"report", "route", about=about)], now())


async def delivered(pool: asyncpg.Pool, endpoint: str) -> None:
    async def there() -> bool:
        state: str = await pool.fetchval("select state from delivery where endpoint = $1", endpoint)
        return state == "delivered"

    await until("it is delivered", there)


async def test_a_sender_that_breaks_stops_nobody_else(
    town: Community, database_url: str, pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    async with delivering(town, database_url):
        await owe(pool, "bad")
        await until("it has broken", lambda: "courier of bad: RuntimeError" in caplog.text)
        await owe(pool, "good")
        await delivered(pool, "good")
    assert NAME not in caplog.text
    assert await pool.fetchval("select state from delivery where endpoint = 'bad'") == "owed"


async def put_task(pool: asyncpg.Pool, name: str, facility: str, **more: object) -> None:
    """A request of a facility, as the record holds it."""
    extension = [{"url": "urn:hutong:facility", "valueCode": facility}]
    body = {"resourceType": "Task", "id": name, "extension": extension, **more}
    await pool.execute(
        "insert into resource (type, id, version, last_updated, body, tokens) values ('Task', $1, 1, now(), $2, '{}')",
        name,
        json.dumps(body),
    )


async def test_a_receipt_is_kept_even_when_its_request_cannot_be_closed(
    town: Community, database_url: str, pool: asyncpg.Pool
) -> None:
    await put_task(pool, "odd", town.endpoints["good"].facility)
    async with delivering(town, database_url):
        await owe(pool, "good", about="Task/odd")
        await delivered(pool, "good")
    assert await pool.fetchval("select receipt from delivery") == b"receipt of report"
    assert await pool.fetchval("select count(*) from finding where about = 'Task/odd'") == 1


@pytest.mark.parametrize(("requester", "version"), [("own", 2), ("another", 1)])
async def test_only_the_receipt_of_the_requester_ends_a_request(
    town: Community, database_url: str, pool: asyncpg.Pool, requester: str, version: int
) -> None:
    facility = town.endpoints["good"].facility if requester == "own" else "elsewhere"
    signed = {"coding": [{"system": "urn:hutong:request-state", "code": "signed"}]}
    await put_task(pool, "signed", facility, status="in-progress", intent="order", businessStatus=signed)
    async with delivering(town, database_url):
        await owe(pool, "good", about="Task/signed")
        await delivered(pool, "good")
    assert await pool.fetchval("select version from resource where id = 'signed'") == version
