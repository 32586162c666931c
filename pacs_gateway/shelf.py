"""How do objects get onto the local disk for good? As files of PS3.10, read back before the spool forgets them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from engine.errors import NotFoundError, StorageError
from engine.ports import Finished
from pacs_gateway.location import checked
from pacs_gateway.segments.segment import flush_folder
from pacs_gateway.segments.spool import make_folder

_COPY_BYTES = 1024 * 1024
_UNFINISHED = ".unfinished"


class Shelf:
    """An object store in a folder, on a file system of its own or not.

    unfinished  a name for this process's unfinished files, which nobody else has
    """

    def __init__(self, folder: Path, unfinished: str) -> None:
        self._folder = folder
        self._unfinished = folder / _UNFINISHED / unfinished

    def put(self, objects: Sequence[Finished]) -> None:
        """As the port says. All files are written before the first is flushed, and a folder is flushed once for all."""
        try:
            make_folder(self._unfinished)
            self._sweep()
            written = [(one, self._write(one, number)) for number, one in enumerate(objects) if not self._stands(one)]
            for one, path in written:
                _flush_and_verify(path, one)
            self._give_names(written)
            self._flush_names(objects)
        except OSError as error:
            raise StorageError(f"the object store could not take an object: {error.strerror}") from error
        finally:
            with suppress(OSError):  # the next one sweeps first
                self._sweep()

    def open(self, key: str) -> BinaryIO:
        try:
            return (self._folder / checked(key)).open("rb")
        except FileNotFoundError:
            raise NotFoundError("the object is not in the store", code="object-missing") from None

    def _stands(self, one: Finished) -> bool:
        try:
            return _holds(self._path(one), one)
        except FileNotFoundError:
            return False

    def _write(self, one: Finished, number: int) -> Path:
        path = self._unfinished / str(number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with one.opened() as source, open(descriptor, "wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
        return path

    def _give_names(self, written: Sequence[tuple[Finished, Path]]) -> None:
        for one, path in written:
            target = self._path(one)
            make_folder(target.parent)
            path.rename(target)

    def _flush_names(self, objects: Sequence[Finished]) -> None:
        """Of those that stood there, too: a process may have ended between giving a name and flushing it."""
        folders: set[Path] = set()
        for one in objects:
            parents = self._path(one).relative_to(self._folder).parents
            folders.update(self._folder / parent for parent in parents)
        for folder in sorted(folders, reverse=True):
            flush_folder(folder)

    def _path(self, one: Finished) -> Path:
        return self._folder / checked(one.key)

    def _sweep(self) -> None:
        if self._unfinished.is_dir():
            for path in self._unfinished.iterdir():
                path.unlink(missing_ok=True)


def _flush_and_verify(path: Path, one: Finished) -> None:
    """Reads back what the disk has, not what the page cache remembers."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
    if not _holds(path, one):
        raise StorageError("an object has another hash in the store than in the index", code="hash-differs")


def _holds(path: Path, one: Finished) -> bool:
    with path.open("rb") as file:
        return one.stands_in(file)
