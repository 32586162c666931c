"""A gateway that tells a RIS of steps, in a process of its own, for tests that kill it.

Takes a database, an object folder and the port of the RIS, prints its own port.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine import clock
from engine.store.database import connect_pool
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.conftest import channel
from tests.integration.gateway.gateway_process import ForgettingIntake
from tests.integration.gateway.listening import Listener


async def run(database_url: str, objects: Path, port: int) -> None:
    listener = Listener()
    listener.port = port
    pool = await connect_pool(database_url)
    endpoints = {"ris": listener.endpoint()}
    gateway = Gateway(channel(), pool, ForgettingIntake(), objects, clock.now, endpoints=endpoints)
    await gateway.start()
    print(gateway.port, flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
