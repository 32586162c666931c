"""An archive is asked for earlier studies when the order comes: at any hour, and beside what is being sent to it."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from pydicom.uid import ComputedRadiographyImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # it makes them while it is imported
    StudyRootQueryRetrieveInformationModelFind,
)

from engine.store.imaging_outbox import QUESTION, ROUTINE
from pacs_gateway.gateway import Gateway
from tests.integration.gateway.archives import ARCHIVE
from tests.integration.gateway.conftest import Write
from tests.integration.gateway.odd_archives import odd_archive
from tests.integration.gateway.owing import delivery_reaches, endpoint, owe, owe_study, sending
from tests.integration.gateway.sending import PATIENCE_SECS, SUCCESS, send_raw, stored
from tests.integration.gateway.test_fetching_priors import ORDERED, OWED

NOON = datetime(2030, 1, 1, 4, 0, tzinfo=UTC)
"""In China."""


async def test_outside_the_window_of_an_archive_it_is_asked_all_the_same(
    pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    await owe(pool, OWED, QUESTION + ROUTINE)
    night = endpoint(free_port, ae_title=ARCHIVE, windows=["20:00-06:00"])
    with odd_archive(free_port, 1, []):
        async with sending(database_url, objects, night, lambda: NOON):
            delivery = await delivery_reaches(pool, "delivered", ORDERED)
    assert json.loads(delivery["receipt"]) == {"studies": 0, "fetched": 0, "already_here": 0}


async def test_an_archive_is_asked_while_a_study_is_sent_to_it(
    gateway: Gateway, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    file = radiograph(StudyInstanceUID="1.3.1", SOPInstanceUID="1.3.1.1")
    assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
    await stored(pool, objects)
    sent, asked = threading.Event(), threading.Event()

    def take(event: Any) -> int:
        sent.set()
        return SUCCESS if asked.wait(PATIENCE_SECS) else 0xA700

    def find(event: Any) -> list[Any]:
        asked.set()
        return []

    entity = AE(ARCHIVE)
    entity.add_supported_context(ComputedRadiographyImageStorage)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    handlers: list[Any] = [(evt.EVT_C_STORE, take), (evt.EVT_C_FIND, find)]
    server = entity.start_server(("127.0.0.1", free_port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        async with sending(database_url, objects, endpoint(free_port, ae_title=ARCHIVE)):
            await owe_study(pool, "1.3.1")
            assert await asyncio.to_thread(sent.wait, PATIENCE_SECS)
            await owe(pool, OWED, QUESTION + ROUTINE)
            await delivery_reaches(pool, "delivered", ORDERED)
            await delivery_reaches(pool, "delivered", "1.3.1")
    finally:
        server.shutdown()
    attempts = await pool.fetch("select outcome from delivery_attempt")
    assert [row["outcome"] for row in attempts] == ["delivered", "delivered"]
