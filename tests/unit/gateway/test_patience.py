"""A slow line gets as long as it moves; a peer that takes nothing and says nothing does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain, count, repeat

import pytest

from pacs_gateway.scu.patience import LOOKS, patiently

SHORT_SECS = LOOKS * 0.001


def acknowledged(*numbers: int) -> Iterator[int]:
    """One number for each look; the last of them stays."""
    return chain(numbers, repeat(numbers[-1]))


class Slow:
    """Is done the so-and-so-many-th time that it is begun."""

    def __init__(self, done_at: float) -> None:
        self._done_at = done_at
        self.begun = 0

    async def work(self) -> str:
        self.begun += 1
        if self.begun < self._done_at:
            await asyncio.Event().wait()
        return "done"


async def test_what_moves_is_waited_for() -> None:
    moving, slow = count(), Slow(done_at=5 * LOOKS)
    assert await patiently(slow.work, SHORT_SECS, lambda: next(moving)) == "done"


async def test_what_moves_no_more_is_left_after_the_time() -> None:
    moving, slow = acknowledged(0, 1, 2, 2, 3), Slow(done_at=float("inf"))
    with pytest.raises(TimeoutError):
        await patiently(slow.work, SHORT_SECS, lambda: next(moving))
    assert slow.begun == 4 + LOOKS


async def test_a_connection_that_ended_has_moved_nothing() -> None:
    moving, slow = acknowledged(100, 0), Slow(done_at=float("inf"))
    with pytest.raises(TimeoutError):
        await patiently(slow.work, SHORT_SECS, lambda: next(moving))
    assert slow.begun == LOOKS


async def test_other_errors_are_not_waited_out() -> None:
    async def broken() -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await patiently(broken, SHORT_SECS, lambda: 0)
