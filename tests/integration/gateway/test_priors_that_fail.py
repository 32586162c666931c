"""What an archive does not give up keeps nothing else from coming, and what it only says to have sent is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from engine.config import Retry
from pacs_gateway.gateway import Gateway
from pacs_gateway.sending import fetching, priors
from tests.integration.gateway.archives import ARCHIVE
from tests.integration.gateway.conftest import Start, Write
from tests.integration.gateway.odd_archives import CANNOT_UNDERSTAND, OddArchive, odd_archive
from tests.integration.gateway.owing import delivery_reaches, endpoint, owe, sending
from tests.integration.gateway.sending import SUCCESS, send_raw, stored, until
from tests.integration.gateway.test_fetching_priors import ENTRIES, ORDERED, OWED, study

UNABLE, SUBOPERATIONS_FAILED = 0xA702, 0xB000


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(ae_entries=ENTRIES)


@dataclass(frozen=True)
class Asking:
    """What a question for earlier studies meets."""

    archive: OddArchive
    gateway: Gateway
    pool: asyncpg.Pool
    database_url: str
    objects: Path

    async def ends(self, state: str, **wanted: Any) -> asyncpg.Record:
        """The delivery, once it is in a state."""
        retry = Retry(first_secs=0.01, factor=1, max_secs=0.01)
        to = endpoint(self.archive.port, ae_title=ARCHIVE, priors={"within_days": 36_500, **wanted}, retry=retry)
        await owe(self.pool, OWED)
        async with sending(self.database_url, self.objects, to, reception=self.gateway.reception):
            return await delivery_reaches(self.pool, state, ORDERED)

    async def arrived(self) -> list[str]:
        return sorted(await stored(self.pool, self.objects))

    async def findings(self) -> dict[str, str]:
        return {row["code"]: row["text"] for row in await self.pool.fetch("select code, text from finding")}


@pytest.fixture
def asking(
    gateway: Gateway, pool: asyncpg.Pool, database_url: str, objects: Path, free_port: int, radiograph: Write
) -> Iterator[Asking]:
    """An archive of three studies of two objects each; the newest is asked for first."""
    files = [file for number in (1, 2, 3) for file in study(radiograph, number)]
    with odd_archive(free_port, gateway.port, files) as archive:
        yield Asking(archive, gateway, pool, database_url, objects)


@pytest.mark.parametrize(
    ("status", "rounds"),
    [(SUBOPERATIONS_FAILED, 3), (UNABLE, 3), (CANNOT_UNDERSTAND, 1)],
)
async def test_a_study_that_never_comes_keeps_no_other_from_coming_and_is_named(
    status: int, rounds: int, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(priors, "REFUSALS", 3)
    asking.archive.answers = {"1.5.3": status}
    await asking.ends("refused")
    assert await asking.arrived() == ["1.5.1.1.1", "1.5.1.1.2", "1.5.2.1.1", "1.5.2.1.2"]
    assert asking.archive.moves.count("1.5.3") == rounds
    assert (asking.archive.moves.count("1.5.1"), asking.archive.moves.count("1.5.2")) == (1, 1)
    assert set(findings := await asking.findings()) == {"delivery-refused"}
    assert "the earlier study 1.5.3 did not come" in findings["delivery-refused"]
    assert f"{status:04X}" in findings["delivery-refused"]


@pytest.mark.parametrize("how", ["unlisted", "garbled"])
async def test_a_study_that_cannot_be_described_comes_behind_those_of_the_same_kind(how: str, asking: Asking) -> None:
    setattr(asking.archive, how, {"1.5.3"})
    await asking.ends("delivered", most=2)
    assert asking.archive.moves == ["1.5.2", "1.5.1"]


async def test_what_is_said_to_be_sent_and_is_not_here_is_told(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ARRIVING_SECS", 0)
    asking.archive.silent = {"1.5.1", "1.5.2", "1.5.3"}
    delivery = await asking.ends("delivered")
    assert json.loads(delivery["receipt"]) == {"studies": 3, "fetched": 0, "already_here": 0}
    assert set(findings := await asking.findings()) == {"prior-incomplete"}
    assert "1.5.2 (0 of 2 objects)" in findings["prior-incomplete"]


async def test_what_is_missing_comes_although_as_many_objects_are_here(asking: Asking, radiograph: Write) -> None:
    ours = [*study(radiograph, 1, 1), radiograph(StudyInstanceUID="1.5.1", SOPInstanceUID="1.5.1.9.1")]
    assert set(await asyncio.to_thread(send_raw, asking.gateway.port, ours)) == {SUCCESS}
    assert await asking.arrived() == ["1.5.1.1.1", "1.5.1.9.1"]
    delivery = await asking.ends("delivered")
    assert json.loads(delivery["receipt"]) == {"studies": 3, "fetched": 3, "already_here": 0}
    assert {"1.5.1.1.1", "1.5.1.1.2", "1.5.1.9.1"} < set(await asking.arrived())


async def test_an_archive_that_counts_too_many_is_compared_object_by_object(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "ARRIVING_SECS", 0)
    asking.archive.counted_too_many = 1
    seen = threading.Event()
    asking.archive.before_the_end = seen.wait

    async def look() -> None:
        await until(all_of_it)
        seen.set()

    async def all_of_it() -> bool:
        return bool(await asking.pool.fetchval("select count(*) = 2 from instance"))

    looking = asyncio.create_task(look())
    try:
        delivery = await asking.ends("delivered", most=1)
    finally:
        seen.set()
        await looking
    assert json.loads(delivery["receipt"])["fetched"] == 1
    assert await asking.findings() == {}
