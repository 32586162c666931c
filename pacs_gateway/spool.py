"""Where do objects lie on the disk, and when are they safe there? The spool first, the store after the index row.

    objects/spool/<channel>/<key with ~ for />   flushed before status 0000, moved soon after its row is committed
    objects/store/<facility>/<study>/<sha256>.dcm

The row names the key, and a reader looks in the store, then in the spools: moving an object changes no row. What a
spool holds without a row was never answered 0000 and is swept; what it holds with one is moved on.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from engine.errors import ConfigurationError, NotFoundError, StorageError

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_PARTIAL = ".part"
_LOCK = ".lock"
_TURNS = 64


@dataclass(frozen=True, slots=True)
class Key:
    """Which object: its content, within one study of one facility."""

    facility: str
    study_uid: str
    sha256: bytes

    @property
    def path(self) -> str:
        return f"{self.facility}/{self.study_uid}/{self.sha256.hex()}.dcm"

    @staticmethod
    def of(path: str) -> Key:
        facility, study_uid, name = path.split("/")
        return Key(facility, study_uid, bytes.fromhex(name.removesuffix(".dcm")))


class Spool:
    """One channel's spool in an object folder. Blocking: its methods belong in threads.

    One process may open a spool at a time, because opening it makes its leftovers the caller's to settle.
    """

    def __init__(self, objects: Path, channel: str) -> None:
        self._objects = objects
        self._folder = objects / "spool" / channel
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self._lock: int | None = None

    def open(self) -> None:
        """Raises ConfigurationError when another process has it open, StorageError when the disk says no."""
        try:
            _make_folder(self._folder)
            lock = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"the spool {self._folder} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ConfigurationError(f"the spool {self._folder} is in use by another gateway") from None
        self._lock = lock
        for partial in self._folder.glob(f"*{_PARTIAL}"):
            partial.unlink(missing_ok=True)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextmanager
    def turn(self, key: Key) -> Iterator[None]:
        """Held while one object is stored or settled: the same object arriving twice at once takes turns."""
        with self._turns[key.sha256[0] % _TURNS]:
            yield

    def holds(self, key: Key) -> bool:
        """Whether the object is on this disk, here or in the store."""
        return self._spooled(key).exists() or self._stored(key).exists()

    def write(self, key: Key, parts: Sequence[bytes]) -> None:
        """Writes an object; on return its bytes and its name are flushed to the disk.

        Raises StorageError (no room, a failing disk) and leaves nothing behind.
        """
        partial = self._folder / f"{uuid4().hex}{_PARTIAL}"
        try:
            _write_flushed(partial, parts)
            os.rename(partial, self._spooled(key))
            _flush_folder(self._folder)
        except OSError as error:
            _remove(partial)
            _remove(self._spooled(key))
            raise StorageError(f"the spool {self._folder} could not take an object: {error.strerror}") from error

    def discard(self, key: Key) -> None:
        """Drops an object that has no row."""
        _remove(self._spooled(key))

    def shelve(self, key: Key) -> None:
        """Moves an object that has its row into the store.

        Raises StorageError when there is no room for it; it stays readable in the spool.
        """
        spooled, stored = self._spooled(key), self._stored(key)
        try:
            if spooled.exists():
                _make_folder(stored.parent)
                os.rename(spooled, stored)
                _flush_folder(stored.parent)
        except OSError as error:
            raise StorageError(f"the object store could not take an object: {error.strerror}") from error

    def leftovers(self) -> list[Key]:
        """What is in the spool now."""
        return [Key.of(name.replace("~", "/")) for name in sorted(os.listdir(self._folder)) if name.endswith(".dcm")]

    def _spooled(self, key: Key) -> Path:
        return self._folder / _spool_name(key.path)

    def _stored(self, key: Key) -> Path:
        return self._objects / "store" / key.path


def open_object(objects: Path, location: str) -> BinaryIO:
    """An indexed object, opened for reading, wherever it is between spool and store.

    Raises NotFoundError when it is nowhere.
    """
    for _ in range(2):  # it may move from the spool to the store between the two looks
        spooled = sorted((objects / "spool").glob(f"*/{_spool_name(location)}"))
        for path in (objects / "store" / location, *spooled):
            try:
                return path.open("rb")
            except FileNotFoundError:
                continue
    raise NotFoundError("the object is not in the store", code="object-missing")


def _checked(location: str) -> str:
    if not all(_NAME.fullmatch(part) for part in location.split("/")):
        raise StorageError("the location of an object is no safe path", code="location-unsafe")
    return location


def _spool_name(location: str) -> str:
    return _checked(location).replace("/", "~")


def _write_flushed(path: Path, parts: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        for part in parts:
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Makes a folder whose own name is flushed too."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o750, exist_ok=True)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # a disk that cannot even forget a file: the next start sweeps it
