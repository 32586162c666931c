"""How long is what a process does its own? While it lives: a claim in the database, short, and made anew until the end.

Of a process that is killed another takes over what it did once its last claim has run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from engine.store.database import FAILED, end_if_cancelled

CLAIM_SECS = 15.0
AGAIN_SECS = 5.0


@asynccontextmanager
async def claimed(again: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """While what is claimed is being done, `again` claims it for CLAIM_SECS more, every so often."""
    claiming = asyncio.create_task(_claim(again))
    try:
        yield
    finally:
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)


async def _claim(again: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(AGAIN_SECS)
        with suppress(*FAILED):  # the claim outlasts some that fail
            await again()
        end_if_cancelled()
