"""An object in a segment survives whatever ends the process; a segment used again holds nothing of before."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from xxhash import xxh3_128

from engine.errors import ConfigurationError, NotFoundError, StorageError
from pacs_gateway.location import Objects, location, open_object
from pacs_gateway.segments import spool as spool_module
from pacs_gateway.segments.digest import hashed
from pacs_gateway.segments.record import PAGE, Head, head_page
from pacs_gateway.segments.segment import Segment
from pacs_gateway.segments.spool import Spool

SMALL = 64 * 1024
Put = Callable[[Spool, bytes], Head]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "ROOM_BYTES", PAGE)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = opened(tmp_path)
    yield spool
    spool.close()


def opened(folder: Path) -> Spool:
    spool = Spool(folder, "imaging", os.urandom, SMALL)
    spool.open()
    return spool


def head_of(segment: Segment, data: bytes, facility: str = "baishi") -> Head:
    return Head(
        place=segment.end,
        length=len(data),
        xxh3=xxh3_128(data).digest(),
        received_at=0,
        sop_class="1.2.3",
        sop_uid="1.2.4",
        transfer_syntax="1.2",
        facility=facility,
        peer="A@h:1",
        file_head=b"DICM",
    )


def put(spool: Spool, data: bytes) -> tuple[Segment, Head]:
    segment = spool.lend()
    head = head_of(segment, data)
    segment.write((data,), head.data_at)
    segment.seal(head)
    segment.flush()
    spool.keep(segment, head)
    return segment, head


def contents(spool: Spool) -> list[bytes]:
    return [segment.stretch(head).read() for segment, head in spool.left_behind()]


def read(folder: Path, data: bytes) -> bytes:
    with open_object(Objects(folder), location("baishi", "1.2", sha256(data).digest())) as file:
        return file.read()


def test_objects_one_behind_the_other_are_found_by_the_next_process(spool: Spool, tmp_path: Path) -> None:
    for data in (b"one", b"two" * 3000, b""):
        put(spool, data)
    spool.close()
    spool = opened(tmp_path)
    assert contents(spool) == [b"DICMone", b"DICM" + b"two" * 3000, b"DICM"]
    spool.close()


def test_an_object_without_its_head_is_none_and_is_written_over(spool: Spool, tmp_path: Path) -> None:
    put(spool, b"one")
    segment = spool.lend()
    segment.write((b"half of an object",), segment.end + PAGE)
    spool.give_back(segment, segment.end + PAGE + 17)
    assert spool.lend() is segment
    spool.give_back(segment, segment.end)
    spool.close()
    spool = opened(tmp_path)
    assert contents(spool) == [b"DICMone"]
    spool.close()


def test_objects_that_arrive_at_once_have_a_segment_each_and_later_ones_share(spool: Spool) -> None:
    first, second = spool.lend(), spool.lend()
    assert first is not second
    spool.give_back(first, first.end)
    spool.give_back(second, second.end)
    assert spool.lend() in (first, second)


def test_a_full_segment_is_not_begun_in_and_is_used_again_once_it_is_empty(spool: Spool) -> None:
    full, _ = put(spool, bytes(SMALL - 2 * PAGE))
    other, _ = put(spool, b"two")
    assert other is not full
    spool.release(full)
    assert full.end == PAGE
    assert list(full.heads()) == []


def test_a_segment_used_again_holds_nothing_of_before_even_where_its_old_heads_stand(
    spool: Spool, tmp_path: Path
) -> None:
    segment, _ = put(spool, b"one")
    put(spool, b"two")
    put(spool, b"three")
    for _ in range(3):
        spool.release(segment)
    again, _ = put(spool, b"new")
    assert again is segment
    spool.close()
    spool = opened(tmp_path)
    assert contents(spool) == [b"DICMnew"]
    spool.close()


def test_a_head_that_a_sender_hides_in_its_pixels_is_never_an_object(spool: Spool, tmp_path: Path) -> None:
    """It would stand where the next object begins, but nobody can know the generation that will be drawn."""
    segment, _ = put(spool, b"one")
    forged = io.BytesIO()
    for place in range(PAGE, SMALL, PAGE):
        forged.write(head_page(Head(place, 0, bytes(16), 0, "1", "6.6.6", "1", "f", "p", b"DICM"), segment.generation))
    spool.release(segment)
    put(spool, forged.getvalue())
    spool.close()
    spool = opened(tmp_path)
    assert [head.sop_uid for _, head in spool.left_behind()] == ["1.2.4"]
    spool.close()


def test_an_object_larger_than_a_segment_makes_its_segment_larger_until_that_is_used_again(spool: Spool) -> None:
    segment, head = put(spool, bytes(5 * SMALL))
    assert segment.stretch(head).read() == b"DICM" + bytes(5 * SMALL)
    spool.release(segment)
    assert segment.path.stat().st_size == SMALL


def test_what_an_abandoned_giant_took_is_given_back(spool: Spool) -> None:
    put(spool, b"one")
    segment = spool.lend()
    reached = segment.end + PAGE + segment.write((bytes(5 * SMALL),), segment.end + PAGE)
    spool.give_back(segment, reached)
    assert segment.path.stat().st_size == segment.end


def test_a_reader_finds_an_object_in_a_spool_once_it_has_its_name(spool: Spool, tmp_path: Path) -> None:
    segment, head = put(spool, b"data")
    with pytest.raises(NotFoundError):
        read(tmp_path, b"data")
    segment.name(head)  # it was flushed, and is not hashed yet
    with pytest.raises(NotFoundError):
        read(tmp_path, b"data")
    assert hashed(segment, head) == replace(head, sha256=sha256(b"data").digest())
    assert read(tmp_path, b"data") == b"DICMdata"


@pytest.mark.parametrize("found", [b"DATA", b"dat"], ids=["other bytes", "less than was written"])
def test_what_is_not_what_was_written_has_no_hash(spool: Spool, found: bytes) -> None:
    segment, head = put(spool, b"data")
    segment.write((found,), head.data_at)
    os.truncate(segment.path, head.data_at + len(found))
    with pytest.raises(StorageError, match="could not be read back"):
        hashed(segment, head)


def test_a_segment_that_somebody_reads_from_is_used_again_only_afterwards(spool: Spool, tmp_path: Path) -> None:
    segment, head = put(spool, b"data")
    segment.name(replace(head, sha256=sha256(b"data").digest()))
    file = open_object(Objects(tmp_path), location("baishi", "1.2", sha256(b"data").digest()))
    spool.release(segment)
    spool.use_what_was_read()
    assert (list(segment.heads()), spool.is_read) == ([head], True)
    other, _ = put(spool, b"other")
    assert other is not segment
    assert file.read() == b"DICMdata"
    file.seek(4)
    assert file.read(2) == b"da"
    file.close()
    spool.use_what_was_read()
    assert (list(segment.heads()), spool.is_read) == ([], False)


@pytest.mark.parametrize("location", ["../../etc/passwd", "a/../b", "/etc/passwd", "a/b/*", "", "a//b"])
def test_a_location_that_leads_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(StorageError):
        open_object(Objects(tmp_path), location)


def test_a_write_that_is_cut_short_goes_on(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwritev

    def cut(descriptor: int, pieces: list[memoryview], at: int) -> int:
        return whole(descriptor, [pieces[0][:3]], at)

    monkeypatch.setattr("os.pwritev", cut)
    segment = spool.lend()
    assert segment.write([b"0123456789", b"", b"abcdefgh"], PAGE) == 18
    buffer = memoryview(bytearray(30))
    assert segment.read(buffer, PAGE) == 18
    assert bytes(buffer[:18]) == b"0123456789abcdefgh"


def test_a_full_disk_takes_nothing_and_gets_back_what_was_taken(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = spool.lend()
    segment.write((bytes(3 * PAGE),), segment.end + PAGE)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.pwritev", full)
    with pytest.raises(StorageError, match="No space left"):
        segment.write((b"more",), segment.end + 4 * PAGE)
    assert segment.path.stat().st_size == segment.end
    with pytest.raises(StorageError, match="No space left"):
        Segment.create(segment.path.with_name("other.segment"), bytes(16))
    assert not segment.path.with_name("other.segment").exists()


def test_nothing_is_written_any_more_into_a_segment_that_did_not_flush(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, _ = put(spool, b"one")
    lent = spool.lend()
    assert lent is segment

    def failing(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr("os.fdatasync", failing)
        with pytest.raises(StorageError, match="Input/output error"):
            lent.flush()
    spool.give_back(lent, lent.end)
    other, _ = put(spool, b"two")
    assert other is not segment
    spool.release(segment)
    assert not segment.path.exists()


def test_two_processes_have_segments_of_their_own(spool: Spool, tmp_path: Path) -> None:
    put(spool, b"one")
    second = opened(tmp_path)
    assert (spool.number, second.number) == (0, 1)
    assert contents(second) == []
    put(second, b"two")
    second.close()


def test_what_a_dead_process_left_is_taken_over_by_the_next_that_starts(spool: Spool, tmp_path: Path) -> None:
    second = opened(tmp_path)
    put(second, b"two")
    second.close()
    spool.close()
    alone = opened(tmp_path)
    assert (alone.number, contents(alone)) == (0, [b"DICMtwo"])
    alone.close()


def test_more_processes_than_are_reasonable_are_refused(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MOST_PROCESSES", 1)
    with pytest.raises(ConfigurationError, match="in use"):
        opened(tmp_path)


@pytest.mark.parametrize("left", [0, 1, 27, PAGE - 1])
def test_a_segment_that_was_only_being_made_is_used(spool: Spool, tmp_path: Path, left: int) -> None:
    spool.close()
    (tmp_path / "spool" / "imaging" / "0" / "new.segment").write_bytes(bytes(left))
    spool = opened(tmp_path)
    assert contents(spool) == []
    spool.use_what_is_empty()
    assert spool.lend().path.name == "new.segment"
    spool.close()


@pytest.mark.parametrize("cut", range(1, 4 * PAGE, 701))
def test_a_segment_cut_at_any_byte_still_tells_what_stood_before_it(tmp_path: Path, cut: int) -> None:
    spool = opened(tmp_path)
    for data in (b"one", b"two"):
        segment, _ = put(spool, data)
    spool.close()
    os.truncate(segment.path, cut)
    spool = opened(tmp_path)
    places = [head.place for _, head in spool.left_behind()]
    assert places == [place for place in (PAGE, 3 * PAGE) if cut >= place + PAGE]
    spool.close()


def test_of_spare_segments_the_first_keep_their_blocks_the_next_few_and_more_are_not_hoarded(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SPARE_SEGMENTS", 3)
    monkeypatch.setattr(spool_module, "SHORT_SPARE_SEGMENTS", 4)
    monkeypatch.setattr(spool_module, "SHORT_SPARE_BYTES", 2 * PAGE)
    lent = [spool.lend() for _ in range(9)]
    for segment in lent:
        data = bytes(3 * PAGE)
        head = head_of(segment, data)
        segment.write((data,), head.data_at)
        segment.seal(head)
        spool.keep(segment, head)
    for segment in lent:
        spool.release(segment)
    assert sorted(path.stat().st_size // PAGE for path in tmp_path.rglob("*.segment")) == [2] * 4 + [5] * 3
    assert spool.kept_bytes == 0
    assert len({spool.lend() for _ in range(7)}) == len(list(tmp_path.rglob("*.segment")))


def test_a_segment_without_a_generation_holds_nothing_whatever_stands_in_it(spool: Spool, tmp_path: Path) -> None:
    segment, _ = put(spool, b"one")
    spool.close()
    page = head_page(Head(PAGE, 0, bytes(32), 0, "1", "6.6.6", "1", "f", "p", b"DICM"), bytes(16))
    segment.path.write_bytes(bytes(PAGE) + page)
    spool = opened(tmp_path)
    assert contents(spool) == []
    spool.close()


def test_spare_segments_are_given_up_where_the_disk_is_needed(spool: Spool, tmp_path: Path) -> None:
    put(spool, b"one")
    other, another = spool.lend(), spool.lend()
    spool.give_back(another, another.end)
    spool.give_back(other, other.end)
    spool.drop_spare()
    assert len(list(tmp_path.rglob("*.segment"))) == 1
    spool.close()
    spool = opened(tmp_path)
    assert contents(spool) == [b"DICMone"]
    spool.close()
