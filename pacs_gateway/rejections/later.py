"""What is left for later? What has just failed, for some seconds, so that it is in nobody's way meanwhile."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Key = TypeVar("Key", bytes, int)


class Later(Generic[Key]):
    """Used within one event loop."""

    def __init__(self, wait_secs: float) -> None:
        self._wait_secs = wait_secs
        self._until: dict[Key, float] = {}

    def leave(self, key: Key) -> None:
        self._until[key] = asyncio.get_running_loop().time() + self._wait_secs

    def still(self) -> list[Key]:
        """What is not to be tried yet."""
        now = asyncio.get_running_loop().time()
        self._until = {key: until for key, until in self._until.items() if until > now}
        return list(self._until)
