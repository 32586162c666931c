"""What a process found and could not go on with is left to the others, also while it lives."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from engine import clock
from engine.errors import StorageError
from pacs_gateway import indexing
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.segments.spool import is_left_behind
from tests.integration.gateway.conftest import Open, RecordingIntake, Write, channel
from tests.integration.gateway.sending import announced, indexed, keep


async def test_a_process_that_cannot_begin_to_keep_what_is_posted_holds_nothing_back(
    open_keeping: Open,
    pool: asyncpg.Pool,
    intake: RecordingIntake,
    objects: Path,
    radiograph: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(indexing, "CLOSE_SECS", 0.0)
    file = radiograph()
    keeping = await open_keeping()
    await pool.execute("alter table instance rename to instance_elsewhere")
    await keep(keeping, file)
    await keeping.close()
    posted = Posted((channel(),), pool, intake, objects, clock.now)
    for _ in range(2):
        with pytest.raises(StorageError):
            await posted.start()
        assert is_left_behind(objects, "imaging")
    await pool.execute("alter table instance_elsewhere rename to instance")
    await open_keeping()
    assert set(await indexed(pool)) == {announced(file).sop_instance_uid}
    await posted.close()
