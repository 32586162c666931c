"""A hub without sockets: the real intake and the real pipeline on a fresh database."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from engine import config
from engine.cli.assembly import mappings_of
from engine.clock import now
from engine.codecs import fhir_json
from engine.config import Community
from engine.envelope import EnvelopeIds
from engine.intake import JournalIntake
from engine.mapping import MappingSet
from engine.pipeline import Pipeline

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


@pytest.fixture(scope="session")
def community() -> Community:
    return config.load(EXAMPLE)


@pytest.fixture(scope="session")
def mappings(community: Community) -> MappingSet:
    return mappings_of(community)


class Hub:
    """Takes messages and runs them; looks into the database for what came of them."""

    def __init__(self, url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet) -> None:
        self.url = url
        self.pool = pool
        self.ids = EnvelopeIds(secrets.randbits)
        self.intake = JournalIntake(url, {c.name: c for c in community.mllp_channels}, now, self.ids)
        self.pipeline = Pipeline(url, community, mappings, now, self.ids)

    async def send(self, channel: str, payload: bytes) -> bytes:
        """The acknowledgment; the message is durable, not yet processed."""
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.intake.submit(channel, "10.0.0.1:40000", payload, done.set_result)
        answer = await asyncio.wait_for(done, 60)
        assert answer is not None, "the message was not persisted"
        return answer

    async def study(self, manifest: dict[str, Any]) -> UUID:
        accepted = await self.intake.accept_manifest(
            channel="imaging",
            facility=manifest["facility"],
            peer="DR_BAISHI",
            study_uid=manifest["study_uid"],
            patient_ids=[manifest["patient_id"]],
            payload=fhir_json.dumps(manifest),
        )
        return accepted.envelope_id

    async def run(self) -> int:
        """Runs everything that can run; returns how many envelopes were claimed."""
        total = 0
        async with self.pool.acquire() as connection:
            while claimed := await self.pipeline.run_batch(connection):
                total += claimed
        return total

    async def resources(self, resource_type: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("select body from resource where type = $1 order by id", resource_type)
        return [fhir_json.loads(row["body"]) for row in rows]

    async def only(self, resource_type: str) -> dict[str, Any]:
        (resource,) = await self.resources(resource_type)
        return resource

    async def open_findings(self) -> list[str]:
        rows = await self.pool.fetch("select code from finding where settled_at is null order by code")
        return [row["code"] for row in rows]

    async def held(self) -> int:
        count: int = await self.pool.fetchval("select count(*) from inbox where state = 'held'")
        return count


@pytest.fixture
async def hub(database_url: str, pool: asyncpg.Pool, community: Community, mappings: MappingSet) -> AsyncIterator[Hub]:
    hub = Hub(database_url, pool, community, mappings)
    await hub.intake.start()
    yield hub
    await hub.intake.close()
