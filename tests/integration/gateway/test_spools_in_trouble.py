"""Each process of a channel has a spool: what cannot leave one is told of until it is empty, whoever else is fine."""

from __future__ import annotations

from dataclasses import dataclass, field

import asyncpg
import pytest

from engine import clock
from pacs_gateway import waiting
from pacs_gateway.waiting import Waiting


@dataclass
class OfProcess:
    """The spool of one."""

    number: int
    taken_over: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TOLD_AFTER_SECS", 0.0)


def process(pool: asyncpg.Pool, number: int, *taken_over: str) -> Waiting:
    return Waiting(pool, "imaging", OfProcess(number, [*taken_over]), clock.now)


async def told(pool: asyncpg.Pool) -> list[bool]:
    """Whether each that was told is open still."""
    rows = await pool.fetch("select settled_at from finding where code = 'objects-not-moved' order by found_at")
    return [row["settled_at"] is None for row in rows]


async def test_a_trouble_is_not_over_because_the_spool_of_another_process_is_empty(pool: asyncpg.Pool) -> None:
    first, second = process(pool, 0), process(pool, 1)
    await first.refused("the object has another hash")
    await second.emptied()
    assert await told(pool) == [True]
    await second.refused("the service cannot be reached")
    await second.emptied()
    assert await told(pool) == [True, False]
    await first.emptied()
    assert await told(pool) == [False, False]


@pytest.mark.parametrize(("number", "taken_over"), [(0, ()), (1, ("0",))], ids=["in its place", "who took its objects"])
async def test_a_trouble_that_a_process_has_left_is_over_when_its_successor_has_emptied_the_spool(
    pool: asyncpg.Pool, number: int, taken_over: tuple[str, ...]
) -> None:
    await process(pool, 0).refused("the service cannot be reached")
    successor = process(pool, number, *taken_over)
    await successor.refused("the service cannot be reached")
    await successor.emptied()
    assert not any(await told(pool))
