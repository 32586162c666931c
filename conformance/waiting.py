"""How long do we wait for something that a hub does in its own time? Until it is there, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from conformance.errors import NoAnswerError

T = TypeVar("T")

PAUSE_SECS = 0.05
"""Short beside every step of a story, long beside one question to a hub."""


async def until(what: str, ask: Callable[[], Awaitable[T | None]], *, within_secs: float) -> T:
    """Asks again until the answer is not None. Raises NoAnswerError, naming `what`, when time is up."""
    try:
        async with asyncio.timeout(within_secs):
            while (answer := await ask()) is None:  # noqa: ASYNC110 - a hub has no event to wait for, only answers
                await asyncio.sleep(PAUSE_SECS)
            return answer
    except TimeoutError as error:
        raise NoAnswerError(f"{what}: not within {within_secs:g} s") from error
