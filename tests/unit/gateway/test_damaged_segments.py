"""What a disk damages in a segment is told; what it left whole is found, and none of it is written over."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from xxhash import xxh3_128

from engine.errors import NotFoundError, StorageError
from pacs_gateway.location import Objects, location, open_object
from pacs_gateway.segments import spool as spool_module
from pacs_gateway.segments.record import PAGE, Head, head_page
from pacs_gateway.segments.segment import Segment
from pacs_gateway.segments.spool import Spool

SMALL = 64 * 1024
DATA = (b"one", b"two" * 3000, b"three")
Spoil = Callable[[Path, int, bytes], None]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "ROOM_BYTES", PAGE)


@pytest.fixture
def left(tmp_path: Path) -> tuple[Path, list[Head]]:
    """A segment with three answered objects, whose process has ended."""
    spool = opened(tmp_path)
    for number, data in enumerate(DATA):
        segment, _ = put(spool, data, f"1.2.{number}")
    heads = list(segment.heads())
    spool.close()
    return segment.path, heads


def opened(folder: Path) -> Spool:
    spool = Spool(folder, "imaging", os.urandom, SMALL)
    spool.open()
    return spool


def put(spool: Spool, data: bytes, sop_uid: str = "1.2.4") -> tuple[Segment, Head]:
    segment = spool.lend()
    head = Head(
        place=segment.end,
        length=len(data),
        xxh3=xxh3_128(data).digest(),
        received_at=0,
        sop_class="1.2.3",
        sop_uid=sop_uid,
        transfer_syntax="1.2",
        facility="baishi",
        peer="A@h:1",
        file_head=b"DICM",
    )
    segment.write((data,), head.data_at)
    segment.seal(head)
    segment.flush()
    segment.name(replace(head, sha256=sha256(data).digest()))
    spool.keep(segment, head)
    return segment, head


def spoil(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Callable[[], tuple[list[str], Spool]]]:
    """What the next process finds."""
    spools: list[Spool] = []

    def find() -> tuple[list[str], Spool]:
        spool = opened(tmp_path)
        spools.append(spool)
        uids = [head.sop_uid for _, head in spool.left_behind()]
        spool.use_what_is_empty()
        return uids, spool

    yield find
    for spool in spools:
        spool.close()


Find = Callable[[], tuple[list[str], Spool]]


def is_kept_for_good(spool: Spool, uids: list[str]) -> bool:
    """Whether nothing is written into the damaged segment, though all that could be read of it has left."""
    (segment,) = spool.damaged
    for _ in uids:
        spool.release(segment)
    there = [spool.lend() for _ in range(3)]
    for one in there:
        spool.give_back(one, one.end)
    spool.drop_spare()
    return segment.path.exists() and segment not in there


@pytest.mark.parametrize("number", [0, 1, 2], ids=["first", "second", "last"])
@pytest.mark.parametrize(
    "spoilt",
    [(0, b"rotten!!"), (8, bytes(16)), (24, bytes(8)), (100, b"\xff"), (4000, b"\xff" * 96)],
    ids=["magic", "generation", "place", "texts", "file head"],
)
def test_a_spoilt_head_hides_no_other_and_its_segment_is_kept(
    left: tuple[Path, list[Head]], found: Find, number: int, spoilt: tuple[int, bytes]
) -> None:
    path, heads = left
    spoil(path, heads[number].place + spoilt[0], spoilt[1])
    uids, spool = found()
    assert uids == [head.sop_uid for head in heads if head is not heads[number]]
    assert is_kept_for_good(spool, uids)


def test_it_is_kept_over_every_start_and_found_by_its_name(
    left: tuple[Path, list[Head]], found: Find, tmp_path: Path
) -> None:
    path, heads = left
    spoil(path, heads[0].place, b"rotten!!")
    before = found()[1]
    before.close()
    uids, spool = found()
    assert uids == ["1.2.1", "1.2.2"]
    (segment,) = spool.damaged
    assert segment.path.name == path.name.replace(".segment", ".damaged.segment")
    assert [one.name for one in tmp_path.rglob("*.segment")] == [segment.path.name]


def test_readers_find_what_lies_behind_a_lost_head(left: tuple[Path, list[Head]], found: Find, tmp_path: Path) -> None:
    path, heads = left
    spoil(path, heads[1].place, bytes(PAGE))
    found()
    for data in (DATA[0], DATA[2]):
        with open_object(Objects(tmp_path), location("baishi", "1.2", sha256(data).digest())) as file:
            assert file.read() == b"DICM" + data
    with pytest.raises(NotFoundError):
        open_object(Objects(tmp_path), location("baishi", "1.2", sha256(DATA[1]).digest()))


@pytest.mark.parametrize("numbers", [(0, 1), (1, 2), (0, 2), (0, 1, 2)], ids=str)
def test_of_several_spoilt_heads_the_others_are_found(
    left: tuple[Path, list[Head]], found: Find, numbers: tuple[int, ...]
) -> None:
    path, heads = left
    for number in numbers:
        spoil(path, heads[number].place, b"rotten!!")
    uids, spool = found()
    assert uids == [head.sop_uid for number, head in enumerate(heads) if number not in numbers]
    assert is_kept_for_good(spool, uids)


def test_pages_of_zeros_where_heads_were_are_noticed_by_what_lies_behind_them(
    left: tuple[Path, list[Head]], found: Find
) -> None:
    path, heads = left
    for number in (0, 1):
        spoil(path, heads[number].place, bytes(PAGE))
    uids, spool = found()
    assert uids == ["1.2.2"]
    assert is_kept_for_good(spool, uids)


def test_a_head_that_was_never_flushed_is_no_damage(tmp_path: Path, found: Find) -> None:
    """Torn by a power cut: the last one, without a name."""
    spool = opened(tmp_path)
    put(spool, b"one", "1.2.0")
    segment = spool.lend()
    head = replace(next(iter(segment.heads())), place=segment.end)
    segment.write((head_page(head, segment.generation)[:512],), head.place)
    spool.close()
    uids, spool = found()
    assert (uids, spool.damaged) == (["1.2.0"], [])


def test_what_stands_behind_the_last_object_from_before_is_no_damage(tmp_path: Path, found: Find) -> None:
    spool = opened(tmp_path)
    for number in range(3):
        segment, _ = put(spool, b"old", f"1.1.{number}")
    for _ in range(3):
        spool.release(segment)
    put(spool, b"new", "1.2.0")
    spool.close()
    uids, spool = found()
    assert (uids, spool.damaged) == (["1.2.0"], [])


@pytest.mark.parametrize("page", [b"rotten!!", b"\xff" * PAGE], ids=["magic", "all of it"])
def test_a_spoilt_first_page_loses_no_object(left: tuple[Path, list[Head]], found: Find, page: bytes) -> None:
    spoil(left[0], 0, page)
    uids, spool = found()
    assert uids == ["1.2.0", "1.2.1", "1.2.2"]
    assert is_kept_for_good(spool, uids)


def test_a_segment_of_noise_is_kept_and_holds_nothing(left: tuple[Path, list[Head]], found: Find) -> None:
    left[0].write_bytes(os.urandom(20 * PAGE + 17))
    uids, spool = found()
    assert uids == []
    assert is_kept_for_good(spool, uids)


class Rotten:
    """Pages of a file that the disk cannot read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, *places: int) -> None:
        self._file, self._places, self._pread = path.stat().st_ino, places, os.pread
        monkeypatch.setattr("os.pread", self)

    def __call__(self, descriptor: int, length: int, at: int) -> bytes:
        touched = any(at < place + PAGE and place < at + length for place in self._places)
        if touched and os.fstat(descriptor).st_ino == self._file:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._pread(descriptor, length, at)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["first", "second", "last"])
def test_a_head_that_cannot_be_read_hides_no_other(
    left: tuple[Path, list[Head]], found: Find, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path, heads = left
    Rotten(monkeypatch, path, heads[number].place)
    uids, spool = found()
    assert uids == [head.sop_uid for head in heads if head is not heads[number]]
    assert is_kept_for_good(spool, uids)


def test_a_segment_of_which_nothing_can_be_read_holds_up_no_other(
    left: tuple[Path, list[Head]], found: Find, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = opened(tmp_path)
    put(other, b"here")
    other.close()
    Rotten(monkeypatch, left[0], *range(0, left[0].stat().st_size, PAGE))
    uids, spool = found()
    assert uids == ["1.2.4"]
    assert is_kept_for_good(spool, [])


def test_readers_look_on_where_one_segment_cannot_be_read(
    left: tuple[Path, list[Head]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spool = opened(tmp_path)
    put(spool, b"here")
    Rotten(monkeypatch, left[0], 0)
    with open_object(Objects(tmp_path), location("baishi", "1.2", sha256(b"here").digest())) as file:
        assert file.read() == b"DICMhere"
    with pytest.raises(StorageError, match="cannot be read"):
        open_object(Objects(tmp_path), location("baishi", "1.2", sha256(b"lost").digest()))
    spool.close()
