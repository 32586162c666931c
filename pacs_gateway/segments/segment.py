"""What can be done with one segment file? Written to by place, flushed, scanned, used again, read while in use."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import StorageError
from pacs_gateway.segments.heads import Found, generation_in, heads, survey
from pacs_gateway.segments.record import (
    GIVEN_UP,
    NAME_AT,
    NOT_KNOWN,
    PAGE,
    Head,
    NoRecordError,
    generation_of,
    head_page,
    name,
    segment_page,
    sha256_of,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SUFFIX = ".segment"
DAMAGED_SUFFIX = ".damaged.segment"
"""Of one that the disk does not give back whole: readers look behind what is lost, and a person sees which it is."""
_MOST_PIECES = 512
"""Half of what one call of the kernel takes (IOV_MAX)."""


class Segment:
    """An open segment. One object at a time is written into it; `end` is where the next one may begin.

    kept        objects in it that do not stand verified elsewhere yet
    broken      a flush failed: what the disk has of later writes is unknown, so nothing more is written into it
    is_damaged  the disk has lost what says where an object lies for which somebody was answered
    """

    def __init__(self, path: Path, descriptor: int, generation: bytes) -> None:
        self.path = path
        self.end = PAGE
        self.kept = 0
        self.broken = False
        self.is_damaged = False
        self.generation = generation
        self._descriptor = descriptor
        self._name_flushed = True

    @staticmethod
    def create(path: Path, generation: bytes) -> Segment:
        """A new, empty segment. Raises StorageError when the disk says no."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise _refused(error) from error
        segment = Segment(path, descriptor, generation)
        segment._name_flushed = False
        try:
            segment.write((segment_page(generation),), 0)
        except StorageError:
            segment.remove()
            raise
        return segment

    @staticmethod
    def open(path: Path, otherwise: bytes) -> Segment:
        """A segment that an earlier process left; `otherwise` a generation for one that has none, and so no objects."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _refused(error) from error
        generation, is_damaged = generation_in(descriptor, otherwise)
        segment = Segment(path, descriptor, generation)
        segment.is_damaged = is_damaged
        return segment

    def write(self, pieces: Sequence[bytes | memoryview], at: int) -> int:
        """Writes all of the pieces from a place on, and returns how many bytes that was.

        Raises StorageError; what was written until then is given back to the disk, which has no room for somebody.
        """
        views = [memoryview(piece) for piece in pieces]
        start = at
        try:
            while views:
                written = os.pwritev(self._descriptor, views[:_MOST_PIECES], at)
                at += written
                while views and written >= len(views[0]):
                    written -= len(views.pop(0))
                if views:
                    views[0] = views[0][written:]
        except OSError as error:
            self.trim()
            raise _refused(error) from error
        return at - start

    def seal(self, head: Head) -> None:
        """Writes the head of an object whose data set stands; the next flush makes it durable. Raises StorageError."""
        try:
            page = head_page(head, self.generation)
        except NoRecordError:
            raise StorageError("an object's description is too long for the spool") from None
        self.write((page,), head.place)

    def strike(self, head: Head) -> None:
        """Takes a head back, as far as the disk still can."""
        try:
            os.pwrite(self._descriptor, bytes(PAGE), head.place)
        except OSError:
            return  # the object was refused and its segment is broken; should it be found again, it is whole

    def name(self, head: Head) -> None:
        """Marks an object as flushed and, once its hash is known, lets readers find it. Raises StorageError."""
        self.write((name(self.generation, head.place, head.sha256 or NOT_KNOWN),), head.place + NAME_AT)

    def give_up(self, head: Head) -> None:
        """Marks an object as one that gets no row, for whoever waits for that. Raises StorageError."""
        self.write((name(self.generation, head.place, GIVEN_UP),), head.place + NAME_AT)

    def sha256(self, head: Head) -> bytes:
        """What an object was named, NOT_KNOWN until it was hashed. Blocking.

        Raises NoRecordError without a name, OSError when the disk does not tell.
        """
        return sha256_of(os.pread(self._descriptor, PAGE, head.place), self.generation, head.place)

    def flush(self) -> None:
        """Blocking. On return everything written before is durable. Raises StorageError, and is broken then."""
        try:
            os.fdatasync(self._descriptor)
            if not self._name_flushed:
                flush_folder(self.path.parent)
                self._name_flushed = True
        except OSError as error:
            self.broken = True  # the kernel reports a failed write once, and takes the pages for clean afterwards
            raise _refused(error) from error

    def read(self, buffer: memoryview, at: int) -> int:
        """Blocking. Reads into a buffer; 0 at the end of the file."""
        return os.preadv(self._descriptor, [buffer], at)

    def stretch(self, head: Head) -> Stretch:
        """An object's file, to be read beside everything else."""
        return Stretch(os.dup(self._descriptor), head.file_at, head.file_length)

    def heads(self) -> Iterator[Head]:
        """Blocking. Every head that stands in it, in order; the data sets behind them are not looked at."""
        return (head for head, _ in heads(self._descriptor, self.generation))

    def survey(self) -> list[Head]:
        """Blocking. Every head that an earlier process left, also behind one that is lost; then it is damaged."""
        found = survey(self._descriptor, self.generation)
        self.is_damaged = self.is_damaged or found.is_damaged
        return [head for head, _ in found.found]

    def mark_damaged(self) -> None:
        """Has its name say that it is. Raises OSError."""
        if not self.path.name.endswith(DAMAGED_SUFFIX):
            marked = self.path.with_name(self.path.name.removesuffix(SUFFIX) + DAMAGED_SUFFIX)
            self.path.rename(marked)
            self.path = marked

    def trim(self) -> None:
        """Gives the disk back what lies beyond the last object."""
        try:
            os.ftruncate(self._descriptor, self.end)
        except OSError:
            return  # it stays, and is written over

    def use_again(self, generation: bytes, most_bytes: int) -> bool:
        """Empties it, unless somebody reads from it now. Keeps the blocks up to a size, because they flush faster."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a BlockingIOError most of the time
            return False
        try:
            self.write((segment_page(generation),), 0)
            if os.fstat(self._descriptor).st_size > most_bytes:
                os.ftruncate(self._descriptor, most_bytes)
        except (OSError, StorageError):
            return False
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.generation = generation
        self.end = PAGE
        return True

    def remove(self) -> None:
        """Takes it off the disk, if that lets it; who reads from it reads on."""
        with suppress(OSError):  # the next start finds in it what stands elsewhere by then
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)


class Stretch(io.RawIOBase):
    """One object of a segment, or a part of it, read as a file; the segment is not used again until it is closed."""

    name = ""
    """Asked for by pydicom, of every file."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._start = start
        self._length = length
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._length - self._at)]
        if not view:
            return 0
        taken = os.preadv(self._descriptor, [view], self._start + self._at)
        self._at += taken
        return taken

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_named(path: Path, facility: str, sha256: bytes) -> Stretch:
    """The file of an object in a segment of another process. Raises FileNotFoundError when it is not in there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # from here on it is not used again
        is_damaged = path.name.endswith(DAMAGED_SUFFIX)
        generation = _generation(descriptor, is_damaged)
        for head, page in _findable(descriptor, generation, is_damaged):
            if head.facility == facility and _named(page, generation, head.place, sha256):
                return Stretch(descriptor, head.file_at, head.file_length)
    except NoRecordError:
        pass  # a segment that is only being made
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise FileNotFoundError(path)


def waiting_in(path: Path) -> list[Head]:
    """Blocking. Heads in a segment of any process whose objects may still get their rows: all that were not given up.

    Also those without a name: it may have been lost when the power was cut. Raises OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []  # its process has just removed it, because it was empty
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # from here on it is not used again
        generation, is_damaged = generation_in(descriptor, otherwise=b"")
        found = _findable(descriptor, generation, is_damaged or path.name.endswith(DAMAGED_SUFFIX))
        return [head for head, page in found if not _named(page, generation, head.place, GIVEN_UP)]
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _generation(descriptor: int, is_damaged: bool) -> bytes:
    if is_damaged:
        return generation_in(descriptor, otherwise=b"")[0]
    return generation_of(os.pread(descriptor, PAGE, 0))


def _findable(descriptor: int, generation: bytes, is_damaged: bool) -> Iterable[Found]:
    return survey(descriptor, generation).found if is_damaged else heads(descriptor, generation)


def _named(page: bytes, generation: bytes, place: int, sha256: bytes) -> bool:
    try:
        return sha256_of(page, generation, place) == sha256
    except NoRecordError:
        return False


def _refused(error: OSError) -> StorageError:
    return StorageError(f"the spool could not take an object: {error.strerror}")
