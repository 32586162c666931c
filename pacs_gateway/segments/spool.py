"""Which segments are there, and into which of them does the next object go?

    objects/spool/<channel>/<number>/<name>.segment

Every process of a channel has a numbered folder of its own, locked while it lives; what a process that ended left in
its folder is moved into that of the next one that starts, while nobody looks for anything (`turns`). An arriving object
has a segment to itself from its first byte to its flush, so that it lies there in one stretch; then the next object
goes on behind it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from engine.errors import ConfigurationError, StorageError
from pacs_gateway.segments.record import GENERATION_BYTES, PAGE, Head
from pacs_gateway.segments.segment import SUFFIX, Segment, flush_folder
from pacs_gateway.segments.turns import looking, moving

SEGMENT_BYTES = 64 * 1024 * 1024
"""An object begun before here may end beyond; one that is larger makes its segment larger, until that is used again."""
ROOM_BYTES = 1024 * 1024
"""No object begins in a segment with less left than this."""
SPARE_SEGMENTS = 8
"""Empty segments that are kept whole, because writing over blocks is flushed faster than allocating them."""
SHORT_SPARE_SEGMENTS = 56
"""Kept beside them, because every association at once has one, and a new file is flushed slowly."""
SHORT_SPARE_BYTES = 4 * 1024 * 1024
"""The blocks that one of those keeps."""
MOST_PROCESSES = 64

_LOCK = ".lock"

Draw = Callable[[int], bytes]
"""So many random bytes that nobody can guess."""


class Spool:
    """The segments of one process. To be used from the event loop, after `open`."""

    def __init__(self, objects: Path, channel: str, draw: Draw, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._spools = objects / "spool"
        self._channel_folder = self._spools / channel
        self.number = 0
        """Which of the channel's processes we are."""
        self.taken_over: list[str] = []
        """Folders of those that had ended when it was opened: what they left is ours."""
        self._draw = draw
        self._segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._lent: set[Segment] = set()
        self._free: list[Segment] = []
        self._read: list[Segment] = []
        """Empty segments that somebody still reads from."""
        self._lock: int | None = None

    @property
    def _folder(self) -> Path:
        return self._channel_folder / str(self.number)

    def open(self) -> None:
        """Blocking. Takes a folder and every segment that no living process has.

        Raises ConfigurationError when too many processes have this channel open, StorageError when the disk says no.
        """
        try:
            make_folder(self._spools)
            with moving(self._spools):
                self._take_folder()
                self._adopt()
            paths = sorted(self._folder.glob(f"*{SUFFIX}"))
            self._segments = [Segment.open(path, self._draw(GENERATION_BYTES)) for path in paths]
        except OSError as error:
            raise StorageError(f"the spool {self._channel_folder} cannot be opened: {error.strerror}") from error

    def close(self) -> None:
        """What is in it stays for the next start."""
        for segment in self._segments:
            segment.close()
        self._segments, self._free, self._read = [], [], []
        self._lent.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def left_behind(self) -> Iterator[tuple[Segment, Head]]:
        """Blocking. Every object that an earlier process left, in order of segment and place; counted as kept.

        A damaged segment counts one more, for what is lost: it is not used again before a person has taken it away.
        """
        for segment in self._segments:
            heads = segment.survey()
            if segment.is_damaged:
                segment.kept += 1
                with suppress(OSError), moving(self._spools):  # it is known by its content too
                    segment.mark_damaged()
            for head in heads:
                segment.kept += 1
                segment.end = head.after
                yield segment, head

    @property
    def damaged(self) -> list[Segment]:
        """After `left_behind`: segments of earlier processes that the disk does not give back whole."""
        return [segment for segment in self._segments if segment.is_damaged]

    def use_what_is_empty(self) -> None:
        """After `left_behind`: takes empty segments of earlier processes into use."""
        for segment in [one for one in self._segments if not one.kept]:
            self._empty(segment)

    def lend(self) -> Segment:
        """A segment for one object. Raises StorageError when a new one is needed and the disk is full."""
        if not self._free:
            path = self._folder / f"{uuid4().hex}{SUFFIX}"
            segment = Segment.create(path, self._draw(GENERATION_BYTES))
            self._segments.append(segment)
            self._free.append(segment)
        segment = self._free.pop()
        self._lent.add(segment)
        return segment

    @property
    def lent_count(self) -> int:
        """Objects that are arriving."""
        return len(self._lent)

    def keep(self, segment: Segment, head: Head) -> None:
        """Takes a segment back with one more object, whose flush has returned."""
        segment.end = head.after
        segment.kept += 1
        self._take_back(segment)

    def give_back(self, segment: Segment, reached: int) -> None:
        """Takes a segment back as it was lent: what was written into it, up to a place, counts as nothing."""
        if reached > self._segment_bytes:
            segment.trim()
        self._take_back(segment)

    def release(self, segment: Segment) -> None:
        """One object less: it stands verified elsewhere, or nothing of it was whole."""
        segment.kept -= 1
        if not segment.kept and segment not in self._lent:
            self._empty(segment)

    @property
    def is_read(self) -> bool:
        """Whether segments that hold nothing any more wait for who still reads from them."""
        return bool(self._read)

    def use_what_was_read(self) -> None:
        """Uses those again that nobody reads from any more."""
        waiting, self._read = self._read, []
        for segment in waiting:
            self._empty(segment)

    def drop_spare(self) -> None:
        """Gives the disk back what empty segments take of it."""
        for segment in [one for one in self._free if not one.kept]:
            self._free.remove(segment)
            self._segments.remove(segment)
            segment.remove()

    @property
    def kept_bytes(self) -> int:
        """How much of the spool waits to be moved, counted by whole segments' contents."""
        return sum(segment.end - PAGE for segment in self._segments if segment.kept)

    def _take_back(self, segment: Segment) -> None:
        self._lent.discard(segment)
        if not segment.kept and (segment.broken or segment.end > PAGE):
            self._empty(segment)
        elif not segment.broken and segment.end <= self._segment_bytes - ROOM_BYTES:
            self._free.append(segment)

    def _empty(self, segment: Segment) -> None:
        """Uses a segment again that holds nothing any more."""
        if segment in self._free:
            self._free.remove(segment)
        spare = sum(1 for one in self._free if not one.kept)
        kept_bytes = self._segment_bytes if spare < SPARE_SEGMENTS else SHORT_SPARE_BYTES
        if segment.broken or spare >= SPARE_SEGMENTS + SHORT_SPARE_SEGMENTS:
            self._segments.remove(segment)
            segment.remove()
        elif segment.use_again(self._draw(GENERATION_BYTES), kept_bytes):
            self._free.append(segment)
        else:
            self._read.append(segment)

    def _take_folder(self) -> None:
        for number in range(MOST_PROCESSES):
            folder = self._channel_folder / str(number)
            make_folder(folder)
            lock = _locked(folder)
            if lock is not None:
                self.number, self._lock = number, lock
                return
        raise ConfigurationError(f"the spool {self._channel_folder} is in use by {MOST_PROCESSES} gateways")

    def _adopt(self) -> None:
        """Moves the segments of processes that have ended into our folder."""
        for folder in sorted(self._channel_folder.iterdir()):
            if folder == self._folder or not folder.is_dir():
                continue
            lock = _locked(folder)
            if lock is None:
                continue
            try:
                for path in sorted(folder.glob(f"*{SUFFIX}")):
                    path.rename(self._folder / path.name)
                flush_folder(self._folder)
                self.taken_over.append(folder.name)
            finally:
                os.close(lock)


def is_left_behind(objects: Path, channel: str) -> bool:
    """Blocking. Whether there are segments of a process that has ended, for the next one to take."""
    folders = [folder for folder in (objects / "spool" / channel).glob("*") if any(folder.glob(f"*{SUFFIX}"))]
    if not folders:
        return False
    with looking(objects / "spool"):
        for folder in folders:
            if (lock := _locked(folder)) is not None:
                os.close(lock)
                return True
    return False


def make_folder(folder: Path) -> None:
    """Makes a folder whose own name is durable too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o750)
    flush_folder(folder.parent)


def _locked(folder: Path) -> int | None:
    """The lock of a folder, or None while another process holds it."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
