"""Two processes look after the rejection notes of one channel: each is carried out, made and owed once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.clock import now
from engine.config import Community
from engine.store.rejection_notes import OwedNote
from pacs_gateway.gateway import Gateway
from pacs_gateway.rejections.noting import Noting
from tests.integration.gateway.conftest import running
from tests.integration.reconcile.conftest import Desk, Write
from tests.integration.reconcile.test_rejection_notes import made, note_file, taken


async def test_a_note_that_two_processes_make_at_once_is_one_note(
    desk: Desk, community: Community, radiograph: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Noting._store
    both_make_it, makers = asyncio.Barrier(2), list[Noting]()

    async def store_together(noting: Noting, note: OwedNote) -> None:
        if noting not in makers:
            makers.append(noting)
            await both_make_it.wait()
        await store(noting, note)

    monkeypatch.setattr(Noting, "_store", store_together)
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await taken(desk, "1.2.3")
    async with running(Gateway(community.dicom_channels[0], desk.pool, desk.intake, desk.objects, now)):
        await desk.store(note_file(tmp_path, "113037", ["1.2.3.1.1"]))
        await made(desk, "made")
    assert len(makers) == 2
    owed = await desk.pool.fetch("select endpoint from delivery where route = 'rejection-note'")
    assert [row["endpoint"] for row in owed] == ["county-pacs"]
    assert await desk.pool.fetchval("select count(*) from audit where action = 'reconcile-reject'") == 1
    assert await desk.pool.fetchval("select count(*) from instance_as_sent where hidden = 'rejection-note'") == 1
    assert not await desk.pool.fetchval("select count(*) from instance where conflict")
