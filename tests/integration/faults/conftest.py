"""The hub of these tests: one that is killed, flooded and lied to, and has to serve the next test all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.integration.faults.community import community
from tests.integration.faults.serving import Served, serving

CHANNELS = {
    "his": {},
    "asking": {"acknowledge": "when_processed"},
    "crowded": {"facility": "crowded"},
    "attacked": {"facility": "attacked"},
}

Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def started_hub() -> Iterator[Served]:
    with serving(community(CHANNELS), only="engine") as hub:
        asyncio.run(hub.start())
        yield hub


@pytest.fixture
async def hub(started_hub: Served) -> Served:
    """A running hub without web and gateway, recovered from what the test before did to it."""
    await started_hub.whole()
    return started_hub


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes hubs of a test's own, not started yet; whatever becomes of them, none is left after the test."""
    with ExitStack() as stack:

        def made(community: Mapping[str, object], **options: str | None) -> Served:
            return stack.enter_context(serving(community, **options))

        yield made
