"""What of a study has come so far? A folder for each transfer: what was announced, what is needed, and the stream.

Everything here blocks and belongs in threads.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.errors import StorageError
from pacs_gateway.segments.segment import flush_folder
from pacs_gateway.segments.spool import make_folder
from pacs_gateway.transfer import contents
from pacs_gateway.transfer.contents import Contents

_CONTENTS, _ROUND, _STREAM = "contents.json", "round.json", "stream"
_PIECE_BYTES = 1024 * 1024


class Round(msgspec.Struct, frozen=True):
    """Which objects the stream consists of, by their places in the contents, and how often each was damaged."""

    needed: list[int]
    damaged: dict[int, int] = {}


class Staging:
    """The folder of one transfer, whose contents and round were written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents = contents.read((folder / _CONTENTS).read_bytes())
        self.round = msgspec.json.decode((folder / _ROUND).read_bytes(), type=Round)
        self.starts = contents.starts_of(self.contents.objects, self.round.needed)

    @classmethod
    def begun(cls, folder: Path, announced: Contents, needed: Sequence[int]) -> Staging:
        """Raises StorageError when the disk says no."""
        try:
            make_folder(folder)
            _write(folder / _CONTENTS, announced.written())
            _write(folder / _ROUND, msgspec.json.encode(Round(list(needed))))
        except OSError as error:
            raise _refused(error) from error
        return cls(folder)

    @staticmethod
    def is_at(folder: Path) -> bool:
        return (folder / _ROUND).exists()

    @property
    def offset(self) -> int:
        """How much of the stream is here."""
        try:
            return min((self.folder / _STREAM).stat().st_size, self.starts[-1])
        except FileNotFoundError:
            return 0

    @property
    def changed_at(self) -> float:
        """Seconds since 1970 at which something last came."""
        newest = self.folder / _STREAM
        return (newest if newest.exists() else self.folder / _ROUND).stat().st_mtime

    def append(self, offset: int, piece: bytes) -> int:
        """Adds a piece that begins at the end of what is here; any other changes nothing. How much is here then.

        On return it is durable. Raises StorageError when the disk says no; then what was here is here still.
        """
        here = self.offset
        if offset != here or here + len(piece) > self.starts[-1]:
            return here
        try:
            descriptor = os.open(self.folder / _STREAM, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                self._write_at(descriptor, piece, here)
            except OSError:
                os.ftruncate(descriptor, here)
                raise
            finally:
                os.close(descriptor)
            if not here:
                flush_folder(self.folder)
        except OSError as error:
            raise _refused(error) from error
        return here + len(piece)

    def objects_here(self) -> list[int]:
        """Places in the round of the objects that are here with all of their bytes."""
        here = self.offset
        return [place for place, end in enumerate(self.starts[1:]) if end <= here]

    def is_whole(self, place: int) -> bool:
        """Whether the bytes of an object have the hash that was announced."""
        digest = hashlib.sha256()
        for piece in self.pieces(place):
            digest.update(piece)
        return digest.hexdigest() == self.contents.objects[self.round.needed[place]].sha256

    def pieces(self, place: int) -> Iterator[bytes]:
        """The data set of one object of the round. Raises StorageError."""
        at, end = self.starts[place], self.starts[place + 1]
        try:
            with (self.folder / _STREAM).open("rb") as stream:
                stream.seek(at)
                while at < end and (piece := stream.read(min(_PIECE_BYTES, end - at))):
                    at += len(piece)
                    yield piece
        except OSError as error:
            raise _refused(error) from error

    def again(self, damaged: Sequence[int]) -> Staging:
        """A new round, of objects whose bytes came with another hash than was announced."""
        counts = {index: self.round.damaged.get(index, 0) + 1 for index in damaged}
        try:
            (self.folder / _STREAM).unlink(missing_ok=True)
            _write(self.folder / _ROUND, msgspec.json.encode(Round(list(damaged), counts)))
        except OSError as error:
            raise _refused(error) from error
        return Staging(self.folder)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_at(self, descriptor: int, piece: bytes, at: int) -> None:
        view = memoryview(piece)
        while view:
            written = os.pwrite(descriptor, view, at)
            view, at = view[written:], at + written
        os.fdatasync(descriptor)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, whenever the process ends."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    flush_folder(path.parent)


def _refused(error: OSError) -> StorageError:
    return StorageError(f"the disk does not take what is being transferred: {error.strerror}")
