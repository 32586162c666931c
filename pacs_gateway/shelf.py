"""How do objects get onto the local disk for good? As files of PS3.10, read back before the spool forgets them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
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
        except OSError as error:
            raise StorageError(f"the object store could not take an object: {error.strerror}") from error
        finally:
            self._sweep()

    def open(self, key: str) -> BinaryIO:
        try:
            return (self._folder / checked(key)).open("rb")
        except FileNotFoundError:
            raise NotFoundError("the object is not in the store", code="object-missing") from None

    def _stands(self, one: Finished) -> bool:
        try:
            return _digest(self._folder / checked(one.key), one.data_at) == one.sha256
        except FileNotFoundError:
            return False

    def _write(self, one: Finished, number: int) -> Path:
        path = self._unfinished / str(number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        with one.opened() as source, open(descriptor, "wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
        return path

    def _give_names(self, written: Sequence[tuple[Finished, Path]]) -> None:
        folders = {}
        for one, path in written:
            target = self._folder / checked(one.key)
            make_folder(target.parent)
            path.rename(target)
            folders[target.parent] = target.parent
        for folder in folders:
            flush_folder(folder)

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
    if _digest(path, one.data_at) != one.sha256:
        raise StorageError("an object has another hash in the store than in the index", code="hash-differs")


def _digest(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").digest()
