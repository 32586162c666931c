"""What is decided here of a study that another hub has is told to that hub: it serves what is decided, and no more."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from engine.api.app import create_app
from engine.api.services import Services
from engine.clock import now
from engine.config import Community
from engine.mapping import MappingSet
from engine.store import access
from engine.store.database import connect_pool
from engine.store.imaging_outbox import StudyOwed
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.dicomweb.routes import DicomWeb
from pacs_gateway.gateway import Gateway
from pacs_gateway.location import Objects
from pacs_gateway.sending.outcome import Outcome
from pacs_gateway.transfer.incoming import Incoming
from tests.conftest import named, unless_in_use
from tests.integration.engine.messages import order
from tests.integration.gateway.sending import until
from tests.integration.reconcile.conftest import Desk, Write
from tests.integration.transfer.attempting import ENDPOINT, attempted
from tests.integration.transfer.conftest import Manifests, Township, application


class Baishi(Township):
    """The user of the county's hub whose token the township's has."""

    facility = "baishi"


@pytest.fixture
async def other_pool(embedded_postgres: Any, postgres_url: str, _migrated_template: str) -> AsyncIterator[asyncpg.Pool]:
    """The county's database."""
    administrator = await asyncpg.connect(postgres_url)
    try:
        await unless_in_use(administrator, f"create database county_hub template {_migrated_template} owner hutong")
        pool = await connect_pool(named(embedded_postgres.url, "county_hub"), min_size=1, max_size=4)
        yield pool
        pool.terminate()
    finally:
        await unless_in_use(administrator, "drop database if exists county_hub with (force)")
        await administrator.close()


@dataclass
class County:
    """A hub that takes transfers, carries rejection notes out, and is asked for what it has."""

    pool: asyncpg.Pool
    incoming: Incoming
    reader: httpx.AsyncClient

    async def notes(self, count: int) -> None:
        """Waits until so many notes have been read."""

        async def read() -> bool:
            return bool(await self.pool.fetchval("select count(*) >= $1 from rejection_note_read", count))

        await until(read)

    async def patients(self, study: str) -> dict[str, str]:
        """Whose each instance of a study is, as QIDO-RS tells."""
        answer = await self.reader.get(f"/dicomweb/studies/{study}/instances?includefield=00100020")
        assert answer.status_code in (200, 204), answer.text
        found = answer.json() if answer.status_code == 200 else []
        return {one["00080018"]["Value"][0]: one["00100020"]["Value"][0] for one in found}

    async def fetched(self, study: str, series: str, sop: str) -> int:
        """How a request for an object is answered."""
        answer = await self.reader.get(
            f"/dicomweb/studies/{study}/series/{series}/instances/{sop}",
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
        return answer.status_code


@pytest.fixture
async def county(
    other_pool: asyncpg.Pool, community: Community, mappings: MappingSet, tmp_path: Path
) -> AsyncIterator[County]:
    channel, objects = community.dicom_channels[0], tmp_path / "county"
    posted = Posted((channel,), other_pool, Manifests(), objects, now)
    await posted.start()
    gateway = Gateway(channel, other_pool, Manifests(), objects, now)
    await gateway.start()
    services = Services(pool=other_pool, config=community, clock=now, mapping_set=mappings)
    imaging = DicomWeb(other_pool, objects)
    app = create_app(services, mounted=imaging.mounts())
    async with other_pool.acquire() as connection:
        token = await access.issue(connection, "wang", now())
    reader = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://hub", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        yield County(other_pool, Incoming(other_pool, posted, objects / "transfers", channel.name, now), reader)
    finally:
        await reader.aclose()
        await imaging.close()
        await gateway.close()
        await posted.close()


@dataclass
class Told(httpx.AsyncBaseTransport):
    """A line on which something is done when an announcement has been answered."""

    line: httpx.AsyncBaseTransport
    then: Callable[[], Awaitable[object]] | None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.line.handle_async_request(request)
        if request.method == "PUT" and self.then is not None:
            await self.then()
        return answer


@dataclass
class Line:
    """What the township's hub sends studies to the county's with."""

    desk: Desk
    county: County

    async def send(
        self, study: str, *, announced: Callable[[], Awaitable[object]] | None = None, pieces: int = 1000
    ) -> Outcome:
        """One attempt; `announced` is done when the county needs objects."""
        transport = Told(httpx.ASGITransport(application(self.county.incoming, Baishi)), announced)
        left = iter(range(pieces))
        objects, what = Objects(self.desk.objects), StudyOwed("baishi", study)
        return await attempted(self.desk.pool, objects, what, transport, lambda: next(left, None) is not None)

    async def send_what_is_owed(self) -> list[str]:
        """The studies that the hub was owed; each was sent."""

        async def made() -> bool:
            waits = "select not exists (select from study_statement where note in ('owed', 'undo-owed'))"
            return bool(await self.desk.pool.fetchval(waits))

        await until(made)
        await self.desk.told()
        rows = await self.desk.pool.fetch("delete from delivery where endpoint = $1 returning control_id", ENDPOINT)
        studies = sorted({row["control_id"] for row in rows})
        for study in studies:
            outcome = await self.send(study)
            assert (outcome.again, outcome.refused) == (None, "")
        return studies


@pytest.fixture
def line(desk: Desk, county: County) -> Line:
    return Line(desk, county)


async def test_a_study_assigned_to_another_patient_is_his_at_the_other_hub_too(
    desk: Desk, county: County, line: Line, radiograph: Write
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", PatientID="BS0009", AccessionNumber="ACC9"))
    await line.send("1.2.3")
    assert await county.patients("1.2.3") == {"1.2.3.1.1": "BS0009"}
    number = await desk.decide("1.2.3", "assign", accession="ACC1")
    ((_, corrected),) = await desk.uids("1.2.3")
    assert await line.send_what_is_owed() == ["1.2.3"]
    await county.notes(1)
    assert await county.patients("1.2.3") == {corrected: "BS0001"}
    assert await county.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1") == 404
    assert await county.fetched("1.2.3", "1.2.3.1", corrected) == 200
    assert not await county.pool.fetchval("select bool_or(conflict) from instance")

    await desk.undo(number)
    ((_, again),) = await desk.uids("1.2.3")
    assert await line.send_what_is_owed() == ["1.2.3"]
    await county.notes(2)
    assert await county.patients("1.2.3") == {again: "BS0009"}


async def test_what_is_rejected_is_fetched_no_more_at_the_other_hub(
    desk: Desk, county: County, line: Line, radiograph: Write
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await line.send("1.2.3")
    await desk.decide("1.2.3", "reject", title="worklist", instances=["1.2.3.1.1"])
    assert await line.send_what_is_owed() == ["1.2.3"]
    await county.notes(1)
    assert set(await county.patients("1.2.3")) == {"1.2.3.1.2"}
    assert await county.fetched("1.2.3", "1.2.3.1", "1.2.3.1.1") == 404

    await desk.decide("1.2.3", "reject", title="patient-safety")
    assert await line.send_what_is_owed() == ["1.2.3"]
    await county.notes(2)
    assert await county.patients("1.2.3") == {}
    assert await county.fetched("1.2.3", "1.2.3.1", "1.2.3.1.2") == 404


async def test_what_is_split_off_and_what_is_merged_moves_at_the_other_hub_too(
    desk: Desk, county: County, line: Line, radiograph: Write
) -> None:
    await desk.store(radiograph("1.2.3.1.1"), radiograph("1.2.3.1.2", InstanceNumber=2))
    await desk.store(radiograph("1.2.4.1.1", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1"))
    await line.send("1.2.3")
    await line.send("1.2.4")
    await desk.decide("1.2.3", "split", instances=["1.2.3.1.2"])
    part = await desk.pool.fetchval("select uid from study where uid not in ('1.2.3', '1.2.4')")
    assert await line.send_what_is_owed() == ["1.2.3"]
    await line.send(part)  # as routes say
    await county.notes(1)
    for study in ("1.2.3", part):
        assert set(await county.patients(study)) == {sop for _, sop in await desk.uids(study)}

    await desk.decide("1.2.4", "merge", into="1.2.3")
    assert await line.send_what_is_owed() == ["1.2.4"]
    await line.send("1.2.3")
    await county.notes(2)
    assert await county.patients("1.2.4") == {}
    assert set(await county.patients("1.2.3")) == {sop for _, sop in await desk.uids("1.2.3")}


async def test_what_is_decided_while_a_study_is_announced_is_what_the_other_hub_gets(
    desk: Desk, county: County, line: Line, radiograph: Write
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(radiograph("1.2.3.1.1", PatientID="BS0009", AccessionNumber="ACC9"))
    outcome = await line.send("1.2.3", announced=lambda: desk.decide("1.2.3", "assign", accession="ACC1"))
    assert outcome.again is not None
    assert outcome.again.code == "study-changed"
    assert await desk.pool.fetchval("select count(*) from sent_instance") == 0
    await line.send("1.2.3")
    assert await county.patients("1.2.3") == {"1.2.3.1.1": "BS0001"}, "nobody knew its number yet"


async def test_what_may_have_come_of_a_study_that_broke_off_is_told_of_too(
    desk: Desk, county: County, line: Line, radiograph: Write
) -> None:
    await desk.order(order(accession="ACC1"))
    await desk.store(
        radiograph("1.2.3.1.1", PatientID="BS0009"),
        radiograph("1.2.3.1.2", PatientID="BS0009", Rows=600, Columns=600, PixelData=secrets.token_bytes(720_000)),
    )
    assert (await line.send("1.2.3", pieces=1)).paused
    await desk.decide("1.2.3", "assign", accession="ACC1")
    assert await line.send_what_is_owed() == ["1.2.3"]
    await county.notes(1)
    hidden = "select hidden from instance_as_sent where sop_uid = '1.2.3.1.1'"
    assert await county.pool.fetchval(hidden) == "113038", "it had come whole, and was kept"
    assert await county.patients("1.2.3") == {sop: "BS0001" for _, sop in await desk.uids("1.2.3")}
