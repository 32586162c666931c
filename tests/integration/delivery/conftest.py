"""A hub that sends what each channel receives on to endpoints of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import asyncpg
import pytest

from tests.integration.faults.clients import Client, msa
from tests.integration.faults.community import Community, community
from tests.integration.faults.conftest import Serve
from tests.integration.faults.messages import register
from tests.integration.faults.serving import Served, free_port, serving

FLOWS = {
    "plain": ("plain",),
    "two": ("dead", "alive"),
    "refusing": ("refusing",),
    "passing": ("passing",),
    "mistaking": ("mistaking",),
    "silent": ("silent",),
    "slow": ("slow",),
    "killed": ("killed",),
    "lost": ("lost",),
}
"""Which endpoints each channel is sent on to."""
FIRST_SECS = 0.2
FACTOR = 2.0


class Town:
    """A running hub and the ports of the endpoints around it."""

    def __init__(self, hub: Served, ports: Mapping[str, int]) -> None:
        self.hub = hub
        self.ports = ports

    async def send(self, channel: str, *numbers: int) -> list[bytes]:
        """Sends messages on a channel; returns their payloads, once each is acknowledged."""
        client = Client(self.hub.port(channel))
        payloads = [
            register(f"{channel}1", f"{channel}.{number}", phone=f"139{number:08d}", at=f"{number:04d}")
            for number in numbers
        ]
        for payload in payloads:
            assert msa(await client.insist(payload))[0] == "AA"
        client.leave()
        return payloads

    async def deliveries(self, endpoint: str) -> list[asyncpg.Record]:
        async with self.hub.database() as database:
            rows: list[asyncpg.Record] = await database.fetch(
                "select * from delivery where endpoint = $1 order by id", endpoint
            )
            return rows

    async def attempts(self, endpoint: str) -> list[asyncpg.Record]:
        async with self.hub.database() as database:
            rows: list[asyncpg.Record] = await database.fetch(
                """
                select a.* from delivery_attempt a join delivery d on d.id = a.delivery
                where d.endpoint = $1 order by a.at
                """,
                endpoint,
            )
            return rows

    async def states(self, endpoint: str) -> list[str]:
        return [row["state"] for row in await self.deliveries(endpoint)]


def forwarding(flows: Mapping[str, tuple[str, ...]]) -> tuple[Community, dict[str, int]]:
    """A community of these flows, and the port that each endpoint is expected on."""
    ports = {endpoint: free_port() for endpoints in flows.values() for endpoint in endpoints}
    files = community(
        {channel: {"facility": f"from-{channel}"} for channel in flows},
        {
            endpoint: {
                "address": f"mllp://127.0.0.1:{port}",
                "answer_timeout_secs": 60,
                "retry": {"first_secs": FIRST_SECS, "factor": FACTOR, "max_secs": 1},
            }
            for endpoint, port in ports.items()
        },
        tuple(
            {
                "id": channel,
                "when": {"event": "message", "from_facilities": [f"from-{channel}"]},
                "to": {"endpoints": list(endpoints)},
            }
            for channel, endpoints in flows.items()
        ),
    )
    return files, ports


@pytest.fixture(scope="session")
def started_town() -> Iterator[Town]:
    files, ports = forwarding(FLOWS)
    with serving(files, only="engine") as hub:
        asyncio.run(hub.start())
        yield Town(hub, ports)


@pytest.fixture
async def town(started_town: Town) -> Town:
    """A running hub, recovered from what the test before did to it."""
    await started_town.hub.whole()
    return started_town


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes hubs of a test's own, not started yet; whatever becomes of them, none is left after the test."""
    with ExitStack() as stack:

        def made(community: Mapping[str, object], **options: str | None) -> Served:
            return stack.enter_context(serving(community, **options))

        yield made
