"""How is an object of a bucket read as a file? By ranges: no more than is asked for, and never much of it at once.

Who reads on gets longer and longer ranges, so that a whole object takes few questions; who goes elsewhere in it gets a
short one from there.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from urllib3.response import BaseHTTPResponse

from adapters.objects.refusals import as_ours
from engine.errors import StorageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST_BYTES = 256 * 1024
"""Asked for where somebody begins to read: all elements before the pixels of nearly every object."""
MOST_BYTES = 8 * 1024 * 1024
"""Asked for at once; they are taken from the socket as they are read."""
SKIPPED_BYTES = 128 * 1024
"""Sooner read and thrown away than asked for anew, which takes a turn on the line or a new connection."""
_TOTAL = re.compile(r"bytes \d+-\d+/(\d+)")

Ask = Callable[[int, int], BaseHTTPResponse]
"""The answer to a question for so many bytes from a place on, of which only the head has been read."""


class RangedFile(io.RawIOBase):
    """To be used by one thread at a time. Raises StorageError where the service does not answer, at any read.

    Opening it asks for its beginning, and raises NotFoundError when the object is not there.
    """

    name = ""
    """Asked for by pydicom, of every file."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._at = 0
        """Where the next byte is read."""
        self._answer: BaseHTTPResponse | None = None
        self._answer_at = 0
        """Where the next byte of the answer stands in the object."""
        self._answer_end = 0
        self._length = FIRST_BYTES
        self.size = 0
        self._begin_at(0, FIRST_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._at)]
        if not view:
            return 0
        self._answer_to(len(view))
        assert self._answer is not None, "an answer was asked for"
        with as_ours():
            piece = self._answer.read(min(len(view), self._answer_end - self._answer_at))
        if not piece:
            raise StorageError("the object store cannot be reached: it ended an answer too soon")
        view[: len(piece)] = piece
        self._at = self._answer_at = self._answer_at + len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._let_go()
        super().close()

    def _answer_to(self, wanted: int) -> None:
        """Has an answer that goes on where the next byte is read."""
        ahead = self._at - self._answer_at
        if self._answer is not None and 0 <= ahead <= SKIPPED_BYTES and self._at < self._answer_end:
            with as_ours():
                while self._answer_at < self._at:
                    self._answer_at += len(self._answer.read(self._at - self._answer_at)) or self._ended()
            return
        reads_on = self._answer is not None and self._at == self._answer_end
        self._length = min(2 * self._length, MOST_BYTES) if reads_on else FIRST_BYTES
        self._let_go()
        self._begin_at(self._at, max(self._length, wanted))

    def _begin_at(self, at: int, length: int) -> None:
        with as_ours():
            answer = self._ask(at, length)
        total = _TOTAL.fullmatch(answer.headers.get("Content-Range", ""))
        if total is None:  # the whole object, though a part was asked for
            self.size = int(answer.headers.get("Content-Length") or 0)
            begins, ends = 0, self.size
        else:
            self.size = int(total[1])
            begins, ends = at, min(at + length, self.size)
        self._answer, self._answer_at, self._answer_end = answer, begins, ends
        if begins != at:
            self._let_go()
            raise StorageError("what answers is no object store: it does not serve ranges")

    def _ended(self) -> int:
        raise StorageError("the object store cannot be reached: it ended an answer too soon")

    def _let_go(self) -> None:
        """Gives the connection back where what is left of the answer is short, and ends it where not."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if self._answer_end - self._answer_at <= SKIPPED_BYTES:
            answer.drain_conn()
        answer.close()
        answer.release_conn()
