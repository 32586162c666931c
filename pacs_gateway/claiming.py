"""How long is what a process does its own? While it lives: a claim in the database, short, and made anew until the end.

Of a process that is killed another takes over what it did once its last claim has run out. So it does of one that stood
still for longer, which claims no more when it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.clock import Clock
from engine.store.database import FAILED, end_if_cancelled

CLAIM_SECS = 15.0
AGAIN_SECS = 5.0

Longer = Callable[[datetime, datetime], Awaitable[bool]]
"""Claims what was claimed until a moment until a later one; False where it is ours no more."""


@dataclass(slots=True)
class Claim:
    """Until when something is ours, as the database has it: that is how we know the claim for our own."""

    until: datetime


def claim_end(at: datetime) -> datetime:
    """Until when something is claimed that is claimed at a moment."""
    return at + timedelta(seconds=CLAIM_SECS)


@asynccontextmanager
async def claimed(until: datetime, clock: Clock, longer: Longer) -> AsyncIterator[Claim]:
    """While what is claimed until a moment is being done, it is claimed for CLAIM_SECS more, every so often."""
    claim = Claim(until)
    claiming = asyncio.create_task(_claim(claim, clock, longer))
    try:
        yield claim
    finally:
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)


async def _claim(claim: Claim, clock: Clock, longer: Longer) -> None:
    ours = True
    while ours:
        await asyncio.sleep(AGAIN_SECS)
        until = claim_end(clock())
        with suppress(*FAILED):  # the claim outlasts some that fail
            ours = await longer(claim.until, until)
            if ours:
                claim.until = until
        end_if_cancelled()
