"""The members of the community are Organizations of the record."""

from __future__ import annotations

import asyncio

import asyncpg
from fhir.resources.R4B.organization import Organization

from engine.clock import now
from engine.config import Community
from engine.identifiers import organization_id
from engine.recording.facilities import record_facilities
from tests.integration.engine.conftest import Hub
from tests.integration.engine.messages import register


async def test_every_facility_is_an_organization_that_references_lead_to(hub: Hub, community: Community) -> None:
    async with hub.pool.acquire() as connection:
        await record_facilities(connection, community, now())
    await hub.send("baishi-his", register())
    await hub.run()
    organizations = {o["id"]: o for o in await hub.resources("Organization")}
    assert organizations[organization_id("baishi")]["name"] == "白石乡卫生院"
    source = next(p for p in await hub.resources("Patient") if "managingOrganization" in p)
    assert source["managingOrganization"]["reference"].removeprefix("Organization/") in organizations
    for organization in organizations.values():
        Organization.model_validate(organization)


async def test_recording_them_again_makes_no_new_version(pool: asyncpg.Pool, community: Community) -> None:
    for _ in range(2):
        async with pool.acquire() as connection:
            await record_facilities(connection, community, now())
    assert await pool.fetchval("select max(version) from resource where type = 'Organization'") == 1


async def test_two_processes_may_start_at_once(pool: asyncpg.Pool, community: Community) -> None:
    async def start() -> None:
        async with pool.acquire() as connection:
            await record_facilities(connection, community, now())

    await asyncio.gather(start(), start(), start())
    count = await pool.fetchval("select count(*) from resource where type = 'Organization'")
    assert count == len(community.facilities)
