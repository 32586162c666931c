"""What was read a moment ago is told again only for seconds, only within bounds, and never after a change."""

from __future__ import annotations

from engine.store.remembered import Remembered


class Watch:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_is_told_until_its_time_is_over() -> None:
    watch = Watch()
    memory: Remembered[str, int] = Remembered(10, 5.0, trusted=True, monotonic=watch)
    memory.put(memory.begin(), "a", 1)
    watch.now = 5.0
    assert memory.get("a") == 1
    watch.now = 5.1
    assert memory.get("a") is None


def test_nothing_is_kept_before_changes_are_heard_of_and_after_they_are_not() -> None:
    memory: Remembered[str, int] = Remembered(10, 5.0)
    memory.put(memory.begin(), "a", 1)
    assert memory.get("a") is None
    memory.trust(True)
    memory.put(memory.begin(), "a", 1)
    assert memory.get("a") == 1
    memory.trust(False)
    assert memory.get("a") is None


def test_what_changed_while_it_was_read_is_not_kept() -> None:
    memory: Remembered[str, int] = Remembered(10, 5.0, trusted=True)
    begun = memory.begin()
    memory.forget()
    memory.put(begun, "a", 1)
    assert memory.get("a") is None


def test_the_oldest_leave_when_weights_exceed_the_bound() -> None:
    memory: Remembered[str, int] = Remembered(10, 5.0, trusted=True)
    for name, weight in (("a", 4), ("b", 4), ("a", 1), ("c", 5), ("d", 1), ("huge", 11)):
        memory.put(memory.begin(), name, weight, weight)
    assert [memory.get(name) for name in ("a", "b", "c", "d", "huge")] == [1, None, 5, 1, None]
