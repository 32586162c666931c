"""Objects are hashed in their order, and one that cannot be read back holds up no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import StorageError
from pacs_gateway import hashing as hashing_module
from pacs_gateway.hashing import Hashing
from pacs_gateway.receiving import Kept
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment

KNOWN = bytes(range(32))


def kept(tmp_path: Path, number: int) -> Kept:
    head = Head(
        place=4096 * number,
        length=1000,
        xxh3=bytes(16),
        received_at=0,
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
    hashing = Hashing("imaging")
    yield hashing
    await hashing.close()


async def test_what_cannot_be_read_back_is_left_out_and_the_others_keep_their_order(
    hashing: Hashing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashed(_: Segment, head: Head) -> Head:
        if head.sop_uid == "1.2.2":
            raise StorageError("an object could not be read back")
        return replace(head, sha256=KNOWN)

    monkeypatch.setattr(hashing_module, "hashed", hashed)
    objects = [kept(tmp_path, number) for number in range(5)]
    known = await hashing.hashed(objects)
    assert [one.head.sop_uid for one in known] == ["1.2.0", "1.2.1", "1.2.3", "1.2.4"]
    assert {one.head.sha256 for one in known} == {KNOWN}


async def test_what_has_its_hash_already_is_not_read_again(
    hashing: Hashing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing_module, "hashed", _not_to_be_called)
    one = kept(tmp_path, 1)
    again = replace(one, head=replace(one.head, sha256=KNOWN))
    assert await hashing.hashed([again]) == [again]


def _not_to_be_called(*_: object) -> Head:
    raise AssertionError("an object that is hashed already was read again")
