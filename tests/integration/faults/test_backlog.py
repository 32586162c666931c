"""However much waits, the next envelopes are handed out at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from engine.clock import now
from engine.store import inbox
from engine.store.database import connect_by_index

WAITING = 20_000
PATIENTS = 500
_PLANNED_AFTER = 6
"""Executions after which PostgreSQL keeps one plan for a prepared statement."""

_FILL = """
with arrived as (
    select uuidv7(interval '1 second' * (n / 1000.0)) as id, 'baishi/P' || n % $2 as lane
    from generate_series(1, $1::int) n
), kept as (
    insert into journal (id, kind, channel, facility, peer, received_at, message_type, control_id, sha256, payload,
                         acknowledgment)
    select id, 'hl7v2', 'his', 'baishi', '', now(), 'ADT^A08', '', '', '', 'AA' from arrived
), queued as (
    insert into inbox (envelope, place, lanes) select id, id, array[lane] from arrived
)
insert into lane (key, envelope, place) select lane, id, id from arrived
"""


@pytest.fixture
async def worker(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_by_index(database_url)
    yield connection
    connection.terminate()


async def test_a_worker_that_began_when_nothing_waited_is_as_fast_when_thousands_wait(
    worker: asyncpg.Connection,
) -> None:
    for _ in range(_PLANNED_AFTER):
        assert await inbox.claim(worker, 16, now()) == []
    await worker.execute(_FILL, WAITING, PATIENTS)
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        assert len(await inbox.claim(worker, 16, now())) == 16
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.05, f"{min(taken):.3f} s to find 16 of {WAITING}"
