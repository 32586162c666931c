"""What may be answered without asking the database again? Things read a moment ago, until somebody says they changed.

A memory is trusted only while changes are heard of (`engine.store.changes`), and even then for seconds: a line that is
dead without having said so is noticed by nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    value: V
    until: float
    weight: int


class Remembered(Generic[K, V]):
    """Up to `most` (in weights of what is put), each for `secs`.

    Whatever is read between `begin` and `put` may have changed meanwhile: `put` takes the number that `begin` gave, and
    keeps nothing when something was forgotten since.
    """

    def __init__(
        self, most: int, secs: float, *, trusted: bool = False, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._secs = secs
        self._trusted = trusted
        self._monotonic = monotonic
        self._entries: dict[K, _Entry[V]] = {}
        self._weight = 0
        self._forgettings = 0

    def get(self, key: K) -> V | None:
        """None for what is not, or no longer, remembered."""
        entry = self._entries.get(key)
        if entry is None or entry.until < self._monotonic():
            return None
        return entry.value

    def begin(self) -> int:
        """To be called before the reading of what is then put."""
        return self._forgettings

    def put(self, begun: int, key: K, value: V, weight: int = 1) -> None:
        if not self._trusted or begun != self._forgettings or weight > self._most:
            return
        self._drop(key)
        while self._weight + weight > self._most:
            self._drop(next(iter(self._entries)))
        self._entries[key] = _Entry(value, self._monotonic() + self._secs, weight)
        self._weight += weight

    def forget(self) -> None:
        """Something changed; which of them did is not asked."""
        self._forgettings += 1
        self._entries.clear()
        self._weight = 0

    def trust(self, trusted: bool) -> None:
        """Whether changes are heard of from now on. Forgets in both cases: until now they may not have been."""
        self._trusted = trusted
        self.forget()

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._weight -= entry.weight
