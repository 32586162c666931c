"""Which study do the tests send to a system? One of six radiographs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.sending import SUCCESS, send_raw, stored

STUDY = "1.2.1"


def uid(number: int) -> str:
    return f"1.2.1.1.{number}"


def six(radiograph: Write) -> list[Path]:
    return [
        radiograph(
            StudyInstanceUID=STUDY, SeriesInstanceUID="1.2.1.1", SOPInstanceUID=uid(number), InstanceNumber=number
        )
        for number in range(1, 7)
    ]


async def stored_study(gateway: Gateway, files: list[Path], pool: asyncpg.Pool, objects: Path) -> list[str]:
    """The UIDs of its objects, once they are stored."""
    assert set(await asyncio.to_thread(send_raw, gateway.port, files)) == {SUCCESS}
    await stored(pool, objects)
    return [uid(number) for number in range(1, 7)]
