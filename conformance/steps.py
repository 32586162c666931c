"""What is told of a story while it runs? Each step once it has happened, with its time and what proves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from conformance.errors import ConformanceError


@dataclass(frozen=True, slots=True)
class Step:
    """A step that happened.

    thread  which examination of those that run side by side
    proof   what came back over the sockets, as it is shown
    """

    number: int
    thread: str
    chinese: str
    english: str
    seconds: float
    proof: tuple[str, ...]


class StoryFailedError(ConformanceError):
    """A step that did not happen: which one, and what came instead."""

    def __init__(self, number: int, thread: str, chinese: str, english: str, reason: str) -> None:
        super().__init__(f"{thread} {number}. {chinese} ({english}): {reason}")
        self.number, self.thread, self.reason = number, thread, reason


@dataclass(slots=True)
class Telling:
    """Times the steps of one thread and tells each when it is done."""

    thread: str
    tell: Callable[[Step], None]
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, number: int, chinese: str, english: str) -> Iterator[list[str]]:
        """Put what proves the step into the list. Raises StoryFailedError for whatever a simulator raises."""
        proof: list[str] = []
        started = time.perf_counter()
        try:
            yield proof
        except ConformanceError as error:
            raise StoryFailedError(number, self.thread, chinese, english, str(error)) from error
        step = Step(number, self.thread, chinese, english, time.perf_counter() - started, tuple(proof))
        self.steps.append(step)
        self.tell(step)
