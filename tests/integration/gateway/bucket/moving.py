"""How do the tests have objects moved into a bucket, and see that they are there?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import asyncpg

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.bucket.service import Service
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import data_set_of, send_raw, spooled


def pictures(radiograph: Write, count: int) -> list[Path]:
    """Objects of some kilobytes, which say PIXELS somewhere in their pixels."""
    pixels = (b"PIXELS" + bytes(3994)) * 2
    return [radiograph(InstanceNumber=n, Rows=40, Columns=100, PixelData=pixels) for n in range(count)]


async def send(gateway: Gateway, files: Sequence[Path]) -> list[int]:
    return await asyncio.to_thread(send_raw, gateway.port, files)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    """Looks seldom: the line to the service runs on this loop, too."""
    async with asyncio.timeout(60):
        while not await reached():  # noqa: ASYNC110 - other processes bring it about, without an event
            await asyncio.sleep(0.05)


async def settled(objects: Path) -> None:
    """Waits until the spool is empty."""

    async def empty() -> bool:
        return not spooled(objects)

    await until(empty)


def are_whole(service: Service, files: Sequence[Path]) -> bool:
    """Whether the bucket holds these objects, byte for byte, and nothing else."""
    return sorted(service.data_sets()) == sorted(map(data_set_of, files))


async def findings(pool: asyncpg.Pool, code: str) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await pool.fetch("select * from finding where code = $1", code)
    return found
