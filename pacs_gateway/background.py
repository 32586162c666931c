"""How does a part of the gateway go on beside the others? A task from its start to its end, begun anew if it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from traceback import format_tb
from typing import Any

AGAIN_SECS = 5.0
"""After what nobody foresaw."""

_log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]
"""May be begun again after any of its steps."""


class Background:
    """One task at a time. It stands in a log under its name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Work) -> None:
        self._task = asyncio.create_task(keep_on(self._name, work), name=self._name)

    async def close(self) -> None:
        """Cancels it and waits until it has ended, however; nothing happens where it was never started."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None


async def keep_on(name: str, work: Work) -> None:
    """Returns when the work has come to its end; work that breaks is begun again, and the log says where it broke."""
    while True:
        try:
            await work()
            return
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it, and what it does would stay undone
            _log.error("%s begins anew: %s", name, places_of(error))
        await asyncio.sleep(AGAIN_SECS)


def places_of(error: BaseException) -> str:
    """Where an error that nobody foresaw was raised, for a log: its own text may quote a patient."""
    return f"{type(error).__name__}\n{''.join(format_tb(error.__traceback__))}"
