"""The loop waits for the disk itself only for a short object that arrives alone, and only while the disk is quick."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar, cast

import pytest

from engine.errors import StorageError
from pacs_gateway import flushing as flushing_module
from pacs_gateway.flushing import SHORT_BYTES, Flushing
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment


@dataclass
class Disk:
    """Stands for a segment: what was asked of it, and whether the loop waited for its flush."""

    now_secs: ClassVar[float] = 0.0
    took_secs: float = 0.0003
    fails: bool = False
    calls: list[str] = field(default_factory=list)
    by_loop: list[bool] = field(default_factory=list)

    def seal(self, _: Head) -> None:
        self.calls.append("seal")

    def flush(self) -> None:
        self.calls.append("flush")
        self.by_loop.append(threading.current_thread() is threading.main_thread())
        Disk.now_secs += self.took_secs
        if self.fails:
            raise StorageError("no")

    def name(self, _: Head) -> None:
        self.calls.append("name")

    def strike(self, _: Head) -> None:
        self.calls.append("strike")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes on the disk only."""
    Disk.now_secs = 0.0
    monkeypatch.setattr(flushing_module, "time", SimpleNamespace(monotonic=lambda: Disk.now_secs))


@pytest.fixture
async def flushing() -> AsyncIterator[Flushing]:
    flushing = Flushing("imaging")
    yield flushing
    await flushing.close()


async def flush(flushing: Flushing, disk: Disk, length: int = 1000, *, alone: bool = True) -> None:
    head = Head(4096, length, bytes(16), 0, "1.2.3", "1.2.4", "1.2", "baishi", "A@h:1", b"DICM")
    await flushing.flush(cast(Segment, disk), head, alone=alone)


async def test_how_quick_the_disk_is_is_learnt_by_a_thread(flushing: Flushing) -> None:
    disk = Disk()
    await flush(flushing, disk)
    await flush(flushing, disk)
    assert disk.by_loop == [False, True]
    assert disk.calls == ["seal", "flush", "name"] * 2


async def test_a_thread_waits_where_others_arrive_or_the_object_is_long(flushing: Flushing) -> None:
    disk = Disk()
    await flush(flushing, disk)
    await flush(flushing, disk, alone=False)
    await flush(flushing, disk, SHORT_BYTES + 1)
    await flush(flushing, disk, SHORT_BYTES)
    assert disk.by_loop == [False, False, False, True]


async def test_a_disk_that_becomes_slow_holds_the_loop_once(flushing: Flushing) -> None:
    quick, slow, again = Disk(), Disk(took_secs=2.0), Disk()
    await flush(flushing, quick)
    await flush(flushing, slow)
    await flush(flushing, slow)
    await flush(flushing, again)
    await flush(flushing, again)
    assert slow.by_loop == [True, False]
    assert again.by_loop == [False, True]


@pytest.mark.parametrize("by_loop", [False, True], ids=["by a thread", "by the loop"])
async def test_what_the_disk_refuses_is_struck_and_the_next_one_is_waited_for_by_a_thread(
    flushing: Flushing, by_loop: bool
) -> None:
    if by_loop:
        await flush(flushing, Disk())
    refusing, after = Disk(fails=True), Disk()
    with pytest.raises(StorageError):
        await flush(flushing, refusing)
    await flush(flushing, after)
    assert refusing.calls == ["seal", "flush", "strike"]
    assert refusing.by_loop == [by_loop]
    assert after.by_loop == [False]
