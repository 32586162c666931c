"""A modality is held to what it says it made: short while something is missing, whole, and late for what follows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from engine.store import study_states
from engine.store.wholeness import State, StudyState
from pacs_gateway.whole import watching
from tests.integration.gateway.conftest import RecordingIntake, Start, Write
from tests.integration.gateway.performing import begun, change, create, ended, scheduled
from tests.integration.gateway.sending import SUCCESS, send_raw, settled, until

STUDY, SERIES = "1.2.3.1", "1.2.3.9"


async def test_a_study_is_short_then_whole_then_late(
    start: Start,
    pool: asyncpg.Pool,
    intake: RecordingIntake,
    radiograph: Write,
    objects: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECS", 0.02)
    gateway = await start(short_after_secs=0.2)

    async def send(number: int) -> None:
        """On return it is in the index."""
        file = radiograph(
            StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, SOPInstanceUID=f"{SERIES}.{number}", InstanceNumber=number
        )
        assert await asyncio.to_thread(send_raw, gateway.port, [file]) == [SUCCESS]
        await settled(objects)

    async def becomes(state: State) -> StudyState:
        found: dict[tuple[str, str], StudyState] = {}

        async def so() -> bool:
            async with pool.acquire() as connection:
                found.update(await study_states.of_studies(connection, [STUDY]))
            return (STUDY, "baishi") in found and found[STUDY, "baishi"].state is state

        await until(so)
        return found[STUDY, "baishi"]

    assert (await asyncio.to_thread(create, gateway.port, begun(scheduled(study_uid=STUDY)))).Status == 0
    await send(1)
    await asyncio.to_thread(change, gateway.port, ended(objects=(f"{SERIES}.1", f"{SERIES}.2")))
    short = await becomes(State.SHORT)
    assert (short.missing_uids, short.sources) == ((f"{SERIES}.2",), ("mpps",))
    assert len(json.loads((await intake.of(STUDY)).payload)["series"][0]["instances"]) == 1, "it went on its way"
    await send(2)
    await becomes(State.WHOLE)
    await send(3)
    await becomes(State.LATE)
    manifests = [json.loads(one.payload) for one in intake.submitted if one.study_uid == STUDY]
    assert [manifest.get("late") for manifest in manifests][-1] == [f"{SERIES}.3"]
    assert not any("late" in manifest for manifest in manifests[:-1])
