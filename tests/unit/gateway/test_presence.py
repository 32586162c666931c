"""A process is known to live by its lock: whatever it dies of, and whoever has its folder after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import StorageError
from pacs_gateway.presence import Presence


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / "spool" / "imaging" / str(number)).mkdir(parents=True)
    return tmp_path


def test_who_lives_has_not_ended_and_whoever_looks_is_in_nobodys_way(objects: Path) -> None:
    one, another = Presence(objects, "imaging"), Presence(objects, "imaging")
    one.begin(0)
    for _ in range(2):
        assert another.ended({0, 1}) == {1}
    another.begin(1)
    assert one.ended({0, 1}) == set()
    one.end()
    assert another.ended({0, 1}) == {0}
    another.end()


def test_a_number_whose_folder_is_not_there_has_ended(objects: Path) -> None:
    assert Presence(objects, "imaging").ended({0, 63}) == {0, 63}


def test_what_only_keeps_does_not_settle(objects: Path) -> None:
    """As the process that keeps what is posted, under a number that a listener had."""
    (objects / "spool" / "imaging" / "2" / ".lock").touch()
    assert Presence(objects, "imaging").ended({2}) == {2}


def test_one_that_was_killed_has_ended(objects: Path) -> None:
    lives = (
        "import sys, pathlib; from pacs_gateway.presence import Presence\n"
        "Presence(pathlib.Path(sys.argv[1]), 'imaging').begin(2); print('here', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", lives, objects], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        looking = Presence(objects, "imaging")
        assert looking.ended({2}) == set()
        process.kill()
        process.wait()
        assert looking.ended({2}) == {2}


def test_a_folder_that_cannot_be_locked_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be locked"):
        Presence(tmp_path, "imaging").begin(0)


def test_one_that_cannot_be_looked_at_has_not_ended(objects: Path) -> None:
    (objects / "spool" / "imaging" / "1" / ".settles").mkdir()
    with pytest.raises(StorageError, match="cannot be looked at"):
        Presence(objects, "imaging").ended({1})


def test_an_end_without_a_beginning_does_nothing(objects: Path) -> None:
    Presence(objects, "imaging").end()
