"""An archive is asked to keep what it was sent, once it has it, and its answer is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt

from pacs_gateway import notifying
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.owing import ENDPOINT, delivery_reaches, endpoint, owe_study, sending
from tests.integration.gateway.sending import SUCCESS, send_raw, stored, until
from tests.integration.gateway.test_commitment import COMMITMENT, WELL_KNOWN, kept

STUDY = "1.2.1"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "IDLE_SECS", 0.05)


class Archive:
    """Takes everything; remembers for what it was asked to commit itself."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, Dataset]] = []

    def start(self, port: int) -> Any:
        entity = AE("PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        entity.add_supported_context(COMMITMENT)
        return entity.start_server(
            ("127.0.0.1", port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, lambda _: SUCCESS), (evt.EVT_N_ACTION, self._take)],
        )

    def _take(self, event: Any) -> tuple[int, None]:
        self.asked.append((event.request.RequestedSOPInstanceUID, event.action_type, event.action_information))
        return SUCCESS, None


async def test_an_archive_that_commits_is_asked_for_all_it_took_and_only_once(
    start: Start, radiograph: Write, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int
) -> None:
    archive = Archive()
    server = archive.start(free_port)
    to = endpoint(free_port, commits=True)
    try:
        gateway = await start(endpoints={ENDPOINT: to})
        files = [radiograph(StudyInstanceUID=STUDY, SOPInstanceUID=f"1.2.1.1.{number}") for number in (1, 2, 3)]
        assert await asyncio.to_thread(send_raw, gateway.port, files[:2]) == [SUCCESS] * 2
        await stored(pool, objects)
        async with sending(database_url, objects, to):
            await owe_study(pool, STUDY)
            await delivery_reaches(pool, "delivered", STUDY)
            await _has_been_asked(archive, 1)
            assert await asyncio.to_thread(send_raw, gateway.port, files[2:]) == [SUCCESS]
            await stored(pool, objects)
            await owe_study(pool, STUDY)
            await delivery_reaches(pool, "delivered", STUDY)
            await _has_been_asked(archive, 2)
    finally:
        server.shutdown()
    assert [(instance, action) for instance, action, _ in archive.asked] == [(WELL_KNOWN, 1)] * 2
    assert [kept(information) for *_, information in archive.asked] == [["1.2.1.1.1", "1.2.1.1.2"], ["1.2.1.1.3"]]
    waiting = await pool.fetch("select transaction_uid from commitment where by_us and settled_at is null")
    assert {row["transaction_uid"] for row in waiting} == {info.TransactionUID for *_, info in archive.asked}


async def _has_been_asked(archive: Archive, times: int) -> None:
    async def asked() -> bool:
        return len(archive.asked) >= times

    await until(asked)
