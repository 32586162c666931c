"""A gateway's index and the one that judges its studies, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import asyncpg
import pytest

from engine.config import DicomChannel
from engine.errors import DeliveryError
from engine.store import announcements, imaging, study_states, wholeness
from engine.store.announcements import Announced, Source
from engine.store.imaging import Instance, Study
from engine.store.wholeness import State, StudyState
from pacs_gateway.whole.watching import Watcher

START = datetime(2026, 11, 20, 4, tzinfo=UTC)
STUDY, SERIES = "1.2.3", "1.2.3.1"
CHANNEL = DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", short_after_secs=60, whole_after_secs=300)


class Asked:
    """A sender that says what it has, or nothing."""

    def __init__(self) -> None:
        self.answer: list[Announced] | None = []
        self.times = 0

    async def holds(self, study_uid: str) -> list[Announced]:
        self.times += 1
        if self.answer is None:
            raise DeliveryError("away", code="unreachable")
        return self.answer


class Scene:
    """One study of one facility."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.now = START
        self.sender = Asked()

    def watcher(self, *, asks: bool = False) -> Watcher:
        return Watcher(self.pool, CHANNEL, {("CT", "baishi"): self.sender} if asks else {}, lambda: self.now)

    def after(self, secs: float) -> None:
        self.now += timedelta(seconds=secs)

    async def store(self, *numbers: int, quiet: bool = True, content: str = "", study: str = STUDY) -> None:
        """Objects come, and the study falls quiet."""
        await self.record([instance(number, self.now, content, study) for number in numbers], study, quiet=quiet)

    async def record(self, instances: Sequence[Instance], study: str = STUDY, *, quiet: bool = True) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await imaging.record(connection, CHANNEL.name, instances)
            if quiet:
                revision = await connection.fetchval("select revision from study where uid = $1", study)
                await imaging.mark_noticed(connection, Study(study, "baishi", CHANNEL.name, "CT@h:1", revision))
                await wholeness.noticed(connection, study, "baishi", CHANNEL.name, self.now)

    async def announce(self, said: Sequence[Announced], source: Source = Source.MPPS, about: str = "1.2.9") -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await announcements.announce(
                connection,
                channel=CHANNEL.name,
                facility="baishi",
                source=source,
                about=about,
                said_by="CT",
                said=said,
                at=self.now,
            )

    async def state(self, study: str = STUDY) -> StudyState | None:
        async with self.pool.acquire() as connection:
            return (await study_states.of_studies(connection, [study])).get((study, "baishi"))

    async def judged(self, watcher: Watcher, study: str = STUDY) -> State | None:
        """How it stands once the watcher has looked."""
        await watcher.look()
        return await self.judged_last(study)

    async def judged_last(self, study: str = STUDY) -> State | None:
        state = await self.state(study)
        return state.state if state is not None else None


def uid(number: int) -> str:
    return f"{SERIES}.{number}"


def named(*numbers: int, study: str = STUDY) -> list[Announced]:
    return [Announced(uid(number), SERIES, study) for number in numbers]


def instance(number: int, at: datetime, content: str = "", study: str = STUDY) -> Instance:
    return Instance(
        sop_uid=uid(number),
        facility="baishi",
        sha256=sha256(f"{number}{content}".encode()).digest(),
        study_uid=study,
        series_uid=SERIES,
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax="1.2.840.10008.1.2.1",
        modality="CT",
        number=number,
        bytes=100,
        location=f"baishi/{study}/{number}.dcm",
        tags='{"patient_id": "P1", "accession": "A1"}',
        charset='{"declared": "", "used": "ascii", "doubtful": false, "findings": {}}',
        peer="CT@10.0.0.7:1",
        stored_at=at,
    )


@pytest.fixture
def scene(pool: asyncpg.Pool) -> Scene:
    return Scene(pool)
