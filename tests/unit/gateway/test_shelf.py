"""What stands in the store stays as it stands, and is there after a power cut; what cannot be kept is said."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from engine.errors import StorageError
from engine.ports import Finished
from pacs_gateway import part10, shelf
from pacs_gateway.finished import holds
from pacs_gateway.shelf import Shelf

DATA = b"a data set" * 100


@pytest.fixture
def store(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store", "imaging-0")


def file_of(data: bytes, sender: str = "DR") -> bytes:
    return part10.header(sop_class="1.2.3", sop_uid="1.2.4", transfer_syntax="1.2", sender=sender) + data


def finished(data: bytes, study: str = "1.2", sender: str = "DR") -> Finished:
    file, digest = file_of(data, sender), sha256(data).digest()
    return Finished(
        key=f"baishi/{study}/{digest.hex()}.dcm",
        length=len(file),
        stands_in=holds(digest),
        opened=lambda: io.BytesIO(file),
    )


def refusing(number: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("sender", ["A_LONGER_TITLE", "D"])
def test_the_same_bytes_of_another_sender_leave_the_file_that_stands_there(
    store: Shelf, tmp_path: Path, sender: str
) -> None:
    """Who reads it may have remembered places in it."""
    store.put([finished(DATA)])
    path = tmp_path / "store" / finished(DATA).key
    before = path.stat().st_ino
    store.put([finished(DATA, sender=sender)])
    assert path.read_bytes() == file_of(DATA)
    assert path.stat().st_ino == before


@pytest.mark.parametrize(
    "there",
    [
        b"",
        b"torn",
        file_of(DATA)[:-1],
        file_of(DATA) + b"\0",
        file_of(b"other" + DATA[5:]),
        bytes(len(file_of(DATA))),
        file_of(b"")[:140] + b"\xff\xff\xff\xff" + DATA,
        DATA,
    ],
    ids=["nothing", "a few bytes", "cut", "too long", "other data", "zeros", "a head without end", "no head"],
)
def test_a_file_that_is_not_what_it_should_be_is_written_anew(store: Shelf, tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "store" / finished(DATA).key
    path.parent.mkdir(parents=True)
    path.write_bytes(there)
    store.put([finished(DATA)])
    assert path.read_bytes() == file_of(DATA)


def test_what_was_renamed_and_not_flushed_is_flushed_by_who_finds_it_there(
    store: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    objects = [finished(DATA), finished(DATA + b"2"), finished(DATA, study="1.3")]
    with monkeypatch.context() as patched:
        patched.setattr(shelf, "flush_folder", refusing(errno.EIO))
        with pytest.raises(StorageError, match="Input/output error"):
            store.put(objects)
    monkeypatch.setattr(shelf, "flush_folder", flushed.append)
    store.put(objects)
    folder = tmp_path / "store"
    assert sorted(flushed) == [folder, folder / "baishi", folder / "baishi" / "1.2", folder / "baishi" / "1.3"]


def test_a_folder_that_somebody_made_and_did_not_flush_is_flushed_too(
    store: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may end between making a study's folder and flushing the one that it is in."""
    flushed: list[Path] = []
    one = finished(DATA)
    path = tmp_path / "store" / one.key
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(shelf, "flush_folder", flushed.append)
    store.put([one])
    assert {path.parent, path.parent.parent} <= set(flushed)


@pytest.mark.parametrize("call", ["unlink", "iterdir"])
def test_what_went_wrong_is_told_also_where_the_rest_cannot_be_swept_away(
    store: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def half(*_: object) -> None:
        monkeypatch.setattr(Path, call, refusing(errno.EROFS))
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", half)
    with pytest.raises(StorageError, match="Input/output error"):
        store.put([finished(DATA)])


def test_a_sweep_that_fails_at_the_end_takes_nothing_back(
    store: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps: list[str] = []
    sweep = Shelf._sweep

    def second_fails(self: Shelf) -> None:
        sweeps.append("")
        if len(sweeps) > 1:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        sweep(self)

    monkeypatch.setattr(Shelf, "_sweep", second_fails)
    store.put([finished(DATA)])
    assert (tmp_path / "store" / finished(DATA).key).read_bytes() == file_of(DATA)


def test_a_store_that_is_a_file_is_said_and_not_swept(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(StorageError):
        Shelf(tmp_path / "store", "imaging-0").put([finished(DATA)])
