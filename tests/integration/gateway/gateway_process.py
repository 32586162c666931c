"""A gateway in a process of its own, for tests that kill it. Takes a database and an object folder, prints its port."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from engine import clock
from engine.config import AeEntry, DicomChannel
from engine.ports import Accepted
from engine.store.database import connect_pool
from pacs_gateway.gateway import Gateway


class ForgettingIntake:
    async def accept_manifest(
        self, *, channel: str, facility: str, peer: str, study_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted:
        return Accepted(uuid4(), b"")

    async def accept_step(
        self, *, channel: str, facility: str, peer: str, step_uid: str, patient_ids: Sequence[str], payload: bytes
    ) -> Accepted:
        return Accepted(uuid4(), b"")


async def run(database_url: str, objects: Path) -> None:
    channel = DicomChannel(
        type="dicom",
        name="imaging",
        ae_title="HUTONG",
        port=0,
        ae_entries=(AeEntry(ae_title="DR_BAISHI", facility="baishi"),),
    )
    gateway = Gateway(channel, await connect_pool(database_url), ForgettingIntake(), objects, clock.now)
    await gateway.start()
    print(gateway.port, flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2])))
