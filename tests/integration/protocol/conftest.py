"""A hub without sockets whose channels speak every variant of the protocol: the real intake, pipeline and queries."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from engine import config
from engine.answering.queries import PatientQueries
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.codecs import er7, fhir_json, hl7v2
from engine.config import Community
from engine.envelope import EnvelopeIds
from engine.intake import JournalIntake
from engine.mapping import MappingSet
from engine.pipeline import Pipeline
from tests.integration.faults.community import community as files_of

CHANNELS = {
    "his": {},
    "clinic": {"facility": "shiqiao"},
    "asking": {"acknowledge": "when_processed"},
    "enhanced": {"application_ack_to": "his-answers"},
    "enhanced-orders": {"application_ack_to": "his-answers", "order_responses": "true"},
    "ordering": {"order_responses": "true"},
    "numbered": {"sequence_numbers": "true"},
    "numbered-processed": {"sequence_numbers": "true", "acknowledge": "when_processed"},
    "legacy": {"charset": "gb18030"},
    "filler": {"facility": "ris"},
}
ENDPOINTS = {"his-answers": {"address": "mllp://127.0.0.1:9"}, "ris": {"address": "mllp://127.0.0.1:9"}}


@pytest.fixture(scope="session")
def community(tmp_path_factory: pytest.TempPathFactory) -> Community:
    folder = tmp_path_factory.mktemp("community")
    routes = ({"id": "orders", "when": {"event": "message", "message_types": ["ORM"], "from_facilities": ["shiqiao"]},
               "to": {"endpoints": ["ris"]}},)  # fmt: skip
    for name, content in files_of(CHANNELS, ENDPOINTS, routes).items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return config.load(folder)


@pytest.fixture(scope="session")
def mappings(community: Community) -> MappingSet:
    return mappings_of(community)


class Hub:
    """Takes messages and runs them; looks into the database for what came of them."""

    def __init__(self, url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet) -> None:
        self.url = url
        self.pool = pool
        self.community = community
        self.ids = EnvelopeIds(secrets.randbits)
        self.queries = PatientQueries(url, community, lambda _: mappings)
        self.intake = JournalIntake(url, {c.name: c for c in community.hl7_channels}, now, self.ids, self.queries)
        self.pipeline = Pipeline(url, community, mappings, now, self.ids)

    def submit(self, channel: str, payload: bytes, peer: str = "10.0.0.1:40000") -> asyncio.Future[bytes | None]:
        """The future answer."""
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.intake.submit(channel, peer, payload, done.set_result)
        return done

    async def send(self, channel: str, payload: bytes, peer: str = "10.0.0.1:40000") -> bytes:
        answer = await asyncio.wait_for(self.submit(channel, payload, peer), 60)
        assert answer is not None, "nothing was persisted"
        return answer

    async def ask(self, channel: str, payload: bytes) -> er7.Message:
        """The answer, read."""
        return hl7v2.parse(await self.send(channel, payload))

    async def run(self) -> int:
        """Runs everything that can run."""
        total = 0
        async with self.pool.acquire() as connection:
            while claimed := await self.pipeline.run_batch(connection):
                total += claimed
        return total

    async def processed(self, channel: str, payload: bytes) -> er7.Message:
        """The answer of a channel that answers when processed."""
        answer = self.submit(channel, payload)
        async with asyncio.timeout(60):
            while not answer.done():
                await self.run()
                await asyncio.sleep(0)
        given = answer.result()
        assert given is not None
        return hl7v2.parse(given)

    async def fetch(self, query: str, *values: object) -> list[Any]:
        rows: list[Any] = await self.pool.fetch(query, *values)
        return rows

    async def value(self, query: str, *values: object) -> Any:
        return await self.pool.fetchval(query, *values)

    async def resources(self, resource_type: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("select body from resource where type = $1 order by id", resource_type)
        return [fhir_json.loads(row["body"]) for row in rows]

    async def findings(self) -> list[str]:
        return [row["code"] for row in await self.pool.fetch("select code from finding order by found_at, code")]


@pytest.fixture
async def hub(database_url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet) -> AsyncIterator[Hub]:
    hub = Hub(database_url, pool, community, mappings)
    await hub.intake.start()
    yield hub
    await hub.intake.close()
    await hub.queries.close()
