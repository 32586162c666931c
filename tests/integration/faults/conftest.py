"""A hub for the tests that do it no lasting harm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.integration.faults.serving import Served, serving

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes hubs, not started yet; whatever becomes of them, none is left after the test."""
    with ExitStack() as stack:

        def made(community: Mapping[str, object], **options: str | None) -> Served:
            return stack.enter_context(serving(community, **options))

        yield made


def started(stack: ExitStack, community: Mapping[str, object]) -> Served:
    """A hub with the engine only, running."""
    hub = stack.enter_context(serving(community, only="engine"))
    asyncio.run(hub.start())
    return hub
