"""However much waits, the next envelopes are handed out at once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import psutil
import pytest

from engine.clock import now
from engine.store import inbox
from engine.store.database import connect_by_index

WAITING = 20_000
PATIENTS = 500
CLAIMS = 5
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
    server = psutil.Process(worker.get_server_pid())
    before = used(server)
    for _ in range(CLAIMS):
        assert len(await inbox.claim(worker, 16, now())) == 16
    each = (used(server) - before) / CLAIMS
    assert each < 0.05, f"{each:.3f} s of processor time to find 16 of {WAITING}"


def used(process: psutil.Process) -> float:
    """Processor time in seconds: what else the machine does is no matter."""
    times = process.cpu_times()
    return float(times.user + times.system)
