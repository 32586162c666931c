"""When is a file ready? Once it has rested, however long its writer takes; on a clock that the test moves."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.folder.shelf import Shelf

SETTLE_SECS = 2.0
LIMIT_BYTES = 100
AT = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path, "*.hl7", SETTLE_SECS, LIMIT_BYTES, lambda: AT)


def names(shelf: Shelf, now: float) -> list[str]:
    return [candidate.path.name for candidate in shelf.ready(now)]


def test_a_file_that_still_grows_waits_until_it_has_rested(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "slow.hl7"
    for second in range(10):
        with file.open("ab") as slow:
            slow.write(b"MSH|")
        assert names(shelf, float(second)) == []
    assert names(shelf, 9 + SETTLE_SECS - 0.1) == []
    assert names(shelf, 9 + SETTLE_SECS) == ["slow.hl7"]


def test_a_file_that_is_written_over_in_its_length_waits_anew(shelf: Shelf, tmp_path: Path) -> None:
    file = tmp_path / "same.hl7"
    for moment in (0.0, 1.0):
        file.write_bytes(b"MSH|")
        os.utime(file, (1_000 + moment, 1_000 + moment))
        assert names(shelf, moment) == []
    assert names(shelf, SETTLE_SECS) == []
    assert names(shelf, 1 + SETTLE_SECS) == ["same.hl7"]


def test_a_file_that_goes_and_comes_back_waits_anew(shelf: Shelf, tmp_path: Path) -> None:
    file, beside = tmp_path / "file.hl7", tmp_path / ".file"
    file.write_bytes(b"MSH|")
    assert names(shelf, 0.0) == []
    file.rename(beside)
    assert names(shelf, SETTLE_SECS) == []
    beside.rename(file)
    assert names(shelf, SETTLE_SECS + 1) == []
    assert names(shelf, SETTLE_SECS + 1 + SETTLE_SECS) == ["file.hl7"]


def test_the_oldest_file_goes_first_whatever_its_name(shelf: Shelf, tmp_path: Path) -> None:
    for age, name in enumerate(["z.hl7", "a.hl7", "m.hl7"]):
        (tmp_path / name).write_bytes(b"MSH|")
        os.utime(tmp_path / name, (1_000 + age, 1_000 + age))
    shelf.ready(0.0)
    assert names(shelf, SETTLE_SECS) == ["z.hl7", "a.hl7", "m.hl7"]


def test_a_file_beyond_the_limit_is_known_before_it_is_read(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "large.hl7").write_bytes(b"x" * (LIMIT_BYTES + 1))
    (tmp_path / "whole.hl7").write_bytes(b"x" * LIMIT_BYTES)
    shelf.ready(0.0)
    ready = {candidate.path.name: candidate.too_large for candidate in shelf.ready(SETTLE_SECS)}
    assert ready == {"large.hl7": True, "whole.hl7": False}
