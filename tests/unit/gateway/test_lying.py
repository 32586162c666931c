"""What lies in a spool is seen by every process: while it lives, once it is dead, and while somebody adopts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest
from xxhash import xxh3_128

from engine.errors import StorageError
from pacs_gateway.segments import lying as lying_module
from pacs_gateway.segments import spool as spool_module
from pacs_gateway.segments.lying import lying
from pacs_gateway.segments.record import PAGE, Head
from pacs_gateway.segments.segment import SUFFIX, Segment, waiting_in
from pacs_gateway.segments.spool import Spool, is_left_behind
from pacs_gateway.segments.turns import looking, moving

SMALL = 64 * 1024
PATIENCE_SECS = 60.0
DATA = b"an object"


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "ROOM_BYTES", PAGE)


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Spool]:
    spool = opened(tmp_path)
    yield spool
    spool.close()


def opened(objects: Path, channel: str = "imaging") -> Spool:
    spool = Spool(objects, channel, os.urandom, SMALL)
    spool.open()
    return spool


def written(spool: Spool, sop_uid: str, facility: str = "baishi") -> tuple[Segment, Head]:
    """An object whose flush has returned, and which nobody was answered for yet."""
    segment = spool.lend()
    head = Head(
        place=segment.end,
        length=len(DATA),
        xxh3=xxh3_128(DATA).digest(),
        received_at=0,
        sop_class="1.2.3",
        sop_uid=sop_uid,
        transfer_syntax="1.2",
        facility=facility,
        peer="A@h:1",
        file_head=b"DICM",
    )
    segment.write((DATA,), head.data_at)
    segment.seal(head)
    segment.flush()
    return segment, head


def put(spool: Spool, sop_uid: str, facility: str = "baishi") -> tuple[Segment, Head]:
    segment, head = written(spool, sop_uid, facility)
    segment.name(head)
    spool.keep(segment, head)
    return segment, head


def found(objects: Path, *sop_uids: str) -> set[str]:
    return lying(objects, "baishi", sop_uids or ("1.2.1", "1.2.2", "1.2.3"))


def test_nothing_lies_where_nothing_was_ever_received(tmp_path: Path) -> None:
    assert found(tmp_path) == set()


def test_what_is_asked_for_is_found_in_the_spools_of_all_processes_and_channels(living: Spool, tmp_path: Path) -> None:
    another, of_another_channel = opened(tmp_path), opened(tmp_path, "ultrasound")
    put(living, "1.2.1")
    put(living, "1.2.9")
    put(another, "1.2.2")
    put(of_another_channel, "1.2.3")
    assert found(tmp_path) == {"1.2.1", "1.2.2", "1.2.3"}
    assert found(tmp_path, "1.2.4") == set()
    another.close()
    of_another_channel.close()


def test_what_another_facility_has_stored_under_the_same_uid_is_another_object(living: Spool, tmp_path: Path) -> None:
    put(living, "1.2.1", "qingxi")
    assert found(tmp_path) == set()


def test_it_lies_there_until_it_is_released_and_in_a_segment_with_others_as_long_as_these(
    living: Spool, tmp_path: Path
) -> None:
    segment, _ = put(living, "1.2.1")
    put(living, "1.2.2")
    living.release(segment)
    assert found(tmp_path) == {"1.2.1", "1.2.2"}
    living.release(segment)
    assert found(tmp_path) == set()


def test_what_was_hashed_may_wait_for_its_row_still(living: Spool, tmp_path: Path) -> None:
    segment, head = put(living, "1.2.1")
    segment.name(replace(head, sha256=sha256(DATA).digest()))
    assert found(tmp_path) == {"1.2.1"}


def test_what_was_given_up_is_waited_for_by_nobody_until_it_comes_again(living: Spool, tmp_path: Path) -> None:
    segment, head = put(living, "1.2.1")
    put(living, "1.2.2")
    segment.give_up(head)
    assert found(tmp_path) == {"1.2.2"}
    put(living, "1.2.1")
    assert found(tmp_path) == {"1.2.1", "1.2.2"}


def test_what_a_process_that_was_killed_has_answered_lies_there_before_and_after_somebody_adopts_it(
    tmp_path: Path,
) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    put(second, "1.2.1")
    second.close()
    assert found(tmp_path) == {"1.2.1"}
    first.close()
    next_one = opened(tmp_path)
    assert found(tmp_path) == {"1.2.1"}
    next_one.close()


def test_without_its_name_it_may_have_been_answered_before_a_power_cut(living: Spool, tmp_path: Path) -> None:
    """A name is not flushed."""
    written(living, "1.2.1")
    assert found(tmp_path) == {"1.2.1"}


def test_an_object_without_its_head_was_not_answered(living: Spool, tmp_path: Path) -> None:
    segment, head = written(living, "1.2.1")
    segment.strike(head)
    assert found(tmp_path) == set()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 3 * PAGE], ids=["empty", "short", "garbage"])
def test_a_file_that_is_no_segment_holds_nothing(living: Spool, tmp_path: Path, content: bytes) -> None:
    put(living, "1.2.1")
    (tmp_path / "spool" / "imaging" / "0" / f"odd{SUFFIX}").write_bytes(content)
    (tmp_path / "spool" / "imaging" / "lost+found").mkdir()
    assert found(tmp_path) == {"1.2.1"}


@pytest.mark.parametrize("spoilt_at", [0, 2 * PAGE], ids=["its first page", "a head in the middle"])
def test_what_the_disk_has_left_of_a_damaged_segment_lies_there(tmp_path: Path, spoilt_at: int) -> None:
    spool = opened(tmp_path)
    place = 0
    for sop_uid in ("1.2.1", "1.2.2", "1.2.3"):
        segment, head = put(spool, sop_uid)
        place = head.place if sop_uid == "1.2.2" else place
    spool.close()
    with segment.path.open("r+b") as file:
        file.seek(place if spoilt_at else 0)
        file.write(b"rotten!!")
    if not spoilt_at:
        assert found(tmp_path) == {"1.2.1", "1.2.2", "1.2.3"}
    spool = opened(tmp_path)
    left = {head.sop_uid for _, head in spool.left_behind()}
    assert found(tmp_path) == left == {"1.2.1", "1.2.3"} | ({"1.2.2"} if not spoilt_at else set())
    spool.close()


def test_a_segment_that_is_removed_meanwhile_held_nothing(
    living: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(living, "1.2.1")
    gone = tmp_path / "spool" / "imaging" / "0" / f"gone{SUFFIX}"
    gone.touch()

    def removed_first(path: Path) -> list[Head]:
        gone.unlink(missing_ok=True)
        return waiting_in(path)

    monkeypatch.setattr(lying_module, "waiting_in", removed_first)
    assert found(tmp_path) == {"1.2.1"}


def test_that_a_spool_cannot_be_read_is_not_taken_for_that_nothing_is_there(
    living: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(living, "1.2.1")

    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pacs_gateway.segments.lying.waiting_in", fails)
    with pytest.raises(StorageError, match="Input/output error"):
        found(tmp_path)


def test_who_looks_and_who_moves_take_turns(living: Spool, tmp_path: Path) -> None:
    put(living, "1.2.1")
    spools = tmp_path / "spool"
    with ThreadPoolExecutor(3) as threads:
        with looking(spools):
            assert found(tmp_path) == {"1.2.1"}  # others look meanwhile, until somebody waits to move
            starts = threads.submit(opened, tmp_path)
            assert not starts.done()
        starts.result(PATIENCE_SECS).close()
        with moving(spools):
            looks = threads.submit(found, tmp_path)
            asks = threads.submit(is_left_behind, tmp_path, "imaging")
            assert not looks.done()
            assert not asks.done()
        assert looks.result(PATIENCE_SECS) == {"1.2.1"}
        assert not asks.result(PATIENCE_SECS)


def test_who_starts_is_not_kept_waiting_by_those_who_look_one_behind_the_other(living: Spool, tmp_path: Path) -> None:
    put(living, "1.2.1")
    spools, started = tmp_path / "spool", Event()

    def look() -> int:
        looks = 0
        while not started.is_set():
            with looking(spools):
                looks += 1
        return looks

    with ThreadPoolExecutor(5) as threads:
        ever = [threads.submit(look) for _ in range(4)]
        try:
            for _ in range(20):
                threads.submit(opened, tmp_path).result(PATIENCE_SECS).close()
        finally:
            started.set()
        assert all(one.result(PATIENCE_SECS) for one in ever)


def test_more_empty_segments_than_are_kept_are_used_or_removed_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when one process adopts the spare ones of several."""
    monkeypatch.setattr(spool_module, "SPARE_SEGMENTS", 1)
    monkeypatch.setattr(spool_module, "SHORT_SPARE_SEGMENTS", 2)
    folder = tmp_path / "spool" / "imaging" / "7"
    folder.mkdir(parents=True)
    for number in range(9):
        Segment.create(folder / f"{number}{SUFFIX}", os.urandom(16)).close()
    spool = opened(tmp_path)
    assert list(spool.left_behind()) == []
    spool.use_what_is_empty()
    assert len(list((tmp_path / "spool").glob(f"*/*/*{SUFFIX}"))) == 3
    spool.close()
