"""What the gateway says of one study, or of one step, is recorded in its order, whoever the patient is said to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from engine.clock import now
from engine.ports import Accepted
from engine.store import inbox
from tests.integration.engine.conftest import Hub

Say = Callable[[Hub, str, list[str]], Awaitable[Accepted]]


async def a_manifest(hub: Hub, uid: str, patient_ids: list[str]) -> Accepted:
    return await hub.intake.accept_manifest(
        channel="imaging", facility="baishi", peer="CT", study_uid=uid, patient_ids=patient_ids, payload=b"{}"
    )


async def a_step(hub: Hub, uid: str, patient_ids: list[str]) -> Accepted:
    return await hub.intake.accept_step(
        channel="imaging", facility="baishi", peer="CT", step_uid=uid, patient_ids=patient_ids, payload=b"{}"
    )


async def claimed_by_two_workers(hub: Hub, at_once: int) -> list[list[UUID]]:
    """What each of them may run while the other is at work."""
    async with hub.pool.acquire() as first, hub.pool.acquire() as second, first.transaction(), second.transaction():
        claims = [await inbox.claim(worker, at_once, now()) for worker in (first, second)]
        return [[one.envelope.id for one in claimed] for claimed in claims]


@pytest.mark.parametrize(
    ("say", "before", "after"), [(a_manifest, [], []), (a_manifest, ["P1"], ["P2"]), (a_step, [], ["P1"])]
)
async def test_what_is_said_later_of_the_same_waits_for_what_was_said_before(
    hub: Hub, say: Say, before: list[str], after: list[str]
) -> None:
    first = await say(hub, "1.2.3", before)
    await say(hub, "1.2.3", after)
    assert await claimed_by_two_workers(hub, at_once=2) == [[first.envelope_id], []]


async def test_what_is_said_of_another_waits_for_nothing(hub: Hub) -> None:
    first, second = await a_manifest(hub, "1.2.3", []), await a_manifest(hub, "1.2.4", [])
    assert await claimed_by_two_workers(hub, at_once=1) == [[first.envelope_id], [second.envelope_id]]
