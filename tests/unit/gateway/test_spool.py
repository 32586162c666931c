"""An object is on the disk whole or not at all, and can be read wherever it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import ConfigurationError, NotFoundError, StorageError
from pacs_gateway.spool import Key, Spool, open_object

KEY = Key("baishi", "1.2.840.3", bytes(range(32)))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path, "imaging")
    spool.open()
    yield spool
    spool.close()


def read(folder: Path, key: Key) -> bytes:
    with open_object(folder, key.path) as file:
        return file.read()


def test_a_key_is_read_back_from_its_path() -> None:
    assert Key.of(KEY.path) == KEY


def test_an_object_is_read_from_the_spool_and_then_from_the_store(spool: Spool, tmp_path: Path) -> None:
    spool.write(KEY, (b"head", b"data"))
    assert spool.holds(KEY)
    assert read(tmp_path, KEY) == b"headdata"
    assert spool.leftovers() == [KEY]
    spool.shelve(KEY)
    assert spool.leftovers() == []
    assert spool.holds(KEY)
    assert read(tmp_path, KEY) == b"headdata"


def test_shelving_twice_is_shelving_once(spool: Spool, tmp_path: Path) -> None:
    spool.write(KEY, (b"data",))
    spool.shelve(KEY)
    spool.shelve(KEY)
    assert read(tmp_path, KEY) == b"data"


def test_a_discarded_object_is_nowhere(spool: Spool, tmp_path: Path) -> None:
    spool.write(KEY, (b"data",))
    spool.discard(KEY)
    assert not spool.holds(KEY)
    with pytest.raises(NotFoundError):
        read(tmp_path, KEY)


def test_an_object_opened_while_in_the_spool_is_read_to_its_end_after_it_moved(spool: Spool, tmp_path: Path) -> None:
    spool.write(KEY, (b"data",))
    with open_object(tmp_path, KEY.path) as file:
        spool.shelve(KEY)
        assert file.read() == b"data"


@pytest.mark.parametrize("failing", ["fsync", "rename", "write"])
def test_a_failing_disk_leaves_nothing(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(f"os.{failing}", fail)
        with pytest.raises(StorageError, match="No space left"):
            spool.write(KEY, (b"data",))
    assert [path.name for path in (tmp_path / "spool" / "imaging").iterdir()] == [".lock"]
    spool.write(KEY, (b"data",))
    assert read(tmp_path, KEY) == b"data"


def test_a_write_that_is_cut_short_goes_on(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: write(descriptor, bytes(data[:3])))
    spool.write(KEY, (b"0123456789", b"abcdefgh"))
    assert read(tmp_path, KEY) == b"0123456789abcdefgh"


def test_a_store_without_room_leaves_the_object_readable_in_the_spool(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.write(KEY, (b"data",))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.rename", fail)
    with pytest.raises(StorageError):
        spool.shelve(KEY)
    assert read(tmp_path, KEY) == b"data"


def test_a_spool_is_open_once(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="in use"):
        Spool(tmp_path, "imaging").open()
    spool.close()
    again = Spool(tmp_path, "imaging")
    again.open()
    again.close()


def test_unfinished_writes_are_swept_when_a_spool_is_opened(spool: Spool, tmp_path: Path) -> None:
    spool.close()
    (tmp_path / "spool" / "imaging" / "0123.part").write_bytes(b"half")
    spool.open()
    assert [path.name for path in (tmp_path / "spool" / "imaging").iterdir()] == [".lock"]


@pytest.mark.parametrize("location", ["../../etc/passwd", "a/../b", "/etc/passwd", "a/b/*", "", "a//b"])
def test_a_location_that_leads_elsewhere_is_refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(StorageError):
        open_object(tmp_path, location)
