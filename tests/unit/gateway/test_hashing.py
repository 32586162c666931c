"""Hashing steps back for senders, but not for long, and one object that cannot be read back holds up no other."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import StorageError
from pacs_gateway import hashing as hashing_module
from pacs_gateway.hashing import HURRY_BYTES, Hashing
from pacs_gateway.receiving import Kept
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment

NOW = datetime(2026, 1, 2, 10, 15, tzinfo=UTC)
KNOWN = bytes(range(32))


def kept(tmp_path: Path, number: int, received_at: datetime = NOW) -> Kept:
    head = Head(
        place=4096 * number,
        length=1000,
        xxh3=bytes(16),
        received_at=int(received_at.timestamp()) * 1_000_000,
        sop_class="1.2.3",
        sop_uid=f"1.2.{number}",
        transfer_syntax="1.2",
        facility="baishi",
        peer="A@h:1",
        file_head=b"DICM",
    )
    return Kept(Segment(tmp_path, -1, bytes(16)), head, {})


@pytest.fixture
async def hashing() -> AsyncIterator[Hashing]:
    hashing = Hashing("imaging", lambda: NOW)
    yield hashing
    await hashing.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a priority of its own")
@pytest.mark.parametrize(
    ("age_secs", "waiting_bytes", "steps_back"),
    [(0, 1000, True), (5, 1000, False), (0, HURRY_BYTES + 1, False)],
    ids=["just come", "has waited", "too much waits"],
)
async def test_it_steps_back_until_something_has_waited_or_too_much_waits(
    hashing: Hashing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    age_secs: int,
    waiting_bytes: int,
    steps_back: bool,
) -> None:
    priorities: list[int] = []

    def hashed(_: Segment, head: Head) -> Head:
        priorities.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return replace(head, sha256=KNOWN)

    monkeypatch.setattr(hashing_module, "hashed", hashed)
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await hashing.hashed([kept(tmp_path, 1, NOW - timedelta(seconds=age_secs))], waiting_bytes)
    assert priorities == [min(usual + 10, 19) if steps_back else usual]


async def test_what_cannot_be_read_back_is_left_out_and_the_others_keep_their_order(
    hashing: Hashing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashed(_: Segment, head: Head) -> Head:
        if head.sop_uid == "1.2.2":
            raise StorageError("an object could not be read back")
        return replace(head, sha256=KNOWN)

    monkeypatch.setattr(hashing_module, "hashed", hashed)
    monkeypatch.setattr(hashing_module, "STEP_BYTES", 2000)
    objects = [kept(tmp_path, number) for number in range(5)]
    known = await hashing.hashed(objects, 5000)
    assert [one.head.sop_uid for one in known] == ["1.2.0", "1.2.1", "1.2.3", "1.2.4"]
    assert {one.head.sha256 for one in known} == {KNOWN}


async def test_what_has_its_hash_already_is_not_read_again(
    hashing: Hashing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing_module, "hashed", _not_to_be_called)
    one = kept(tmp_path, 1)
    again = replace(one, head=replace(one.head, sha256=KNOWN))
    assert await hashing.hashed([again], 1000) == [again]


def _not_to_be_called(*_: object) -> Head:
    raise AssertionError("an object that is hashed already was read again")
