"""How does a test have a study sent to another hub? One attempt, as the courier of the endpoint makes it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import asyncpg
import httpx

from engine import clock
from engine.store.imaging_outbox import StudyOwed, payload_of
from engine.store.outbox import Due
from pacs_gateway.location import Objects
from pacs_gateway.sending.outcome import Outcome, Turns
from pacs_gateway.transfer.errands import TransferErrands
from pacs_gateway.transfer.outgoing import Outgoing

ENDPOINT = "county"


async def attempted(
    pool: asyncpg.Pool,
    objects: Objects,
    what: StudyOwed,
    line: httpx.AsyncBaseTransport,
    may_go_on: Callable[[], bool] = lambda: True,
) -> Outcome:
    """`line` carries requests to the hub."""
    errands = TransferErrands(ENDPOINT, Outgoing("http://hub", "token", 20.0, transport=line), objects, clock.now)
    due = Due(uuid4(), ENDPOINT, what.study_uid, payload_of(what), None, 0, clock.now())
    async with pool.acquire() as connection:
        return await errands.perform(due, what, Turns(connection), urgent=False, may_go_on=may_go_on)
