"""Which parts does a multipart body have? A codec of RFC 2046 §5.1 without I/O: bytes in, parts out, nothing kept.

    reader = MultipartReader(boundary)
    for event in reader.receive(chunk): ...
    reader.finish()

A part's content comes in pieces as it arrives; at most one delimiter and the headers of one part are held. Parts are
not looked into, so a multipart within a part is content like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import FramingError

HEADERS_LIMIT_BYTES = 16 * 1024
"""Of one part: a Content-Type and a Content-Location need some hundred bytes."""
PREAMBLE_LIMIT_BYTES = 64 * 1024
"""Before the first part; it is empty nearly always."""
PARTS_LIMIT = 100_000
"""Of one body; the largest studies have some tens of thousands of instances."""

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,199}[0-9A-Za-z'()+_,\-./:=?]")
"""The characters of RFC 2046 §5.1.1, which allows 70 of them; Orthanc sends 73."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A part begins; header names in lower case."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Content:
    """More of the part at hand; valid until the next call."""

    piece: memoryview


@dataclass(frozen=True, slots=True)
class Ended:
    """The part at hand is whole."""


Event = Begun | Content | Ended


class MultipartReader:
    """Reads one body. Raises FramingError `multipart-malformed` for one that is not as its boundary says."""

    def __init__(self, boundary: str) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise _malformed("the multipart has no usable boundary")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._held = b"\r\n"
        """What may be a delimiter, or a header that is not whole. The first delimiter may stand without a line end."""
        self._step = self._preamble
        self._skipped = 0
        self._parts = 0
        self._closed = False

    def receive(self, chunk: bytes) -> Iterator[Event]:
        """What these bytes bring. To be exhausted before the next call."""
        if self._closed:
            return  # the epilogue, which says nothing
        data = self._held + chunk if self._held else chunk
        self._held = b""
        at = 0
        while not self._closed:
            step = self._step
            events, at = step(data, at)
            yield from events
            if self._step == step:  # it needs more
                return

    def finish(self) -> None:
        """The body has ended. Raises when the closing delimiter did not come."""
        if not self._closed:
            raise _malformed("the multipart ends before its closing delimiter")

    def _preamble(self, data: bytes, at: int) -> tuple[list[Event], int]:
        found = data.find(self._delimiter, at)
        if found < 0:
            keep = max(at, len(data) - len(self._delimiter) + 1)
            self._skipped += keep - at
            if self._skipped > PREAMBLE_LIMIT_BYTES:
                raise _malformed("the multipart does not begin with its boundary")
            self._held = data[keep:]
            return [], at
        self._step = self._after_delimiter
        return [], found + len(self._delimiter)

    def _after_delimiter(self, data: bytes, at: int) -> tuple[list[Event], int]:
        """The rest of a delimiter's line: `--` closes the body, blanks are let through."""
        if data[at : at + 2] == b"--":
            self._closed = True
            return [], at
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > HEADERS_LIMIT_BYTES:
                raise _malformed("a delimiter of the multipart has no end")
            self._held = data[at:]
            return [], at
        if data[at:end].strip(b" \t"):
            raise _malformed("something stands behind a delimiter of the multipart")
        self._parts += 1
        if self._parts > PARTS_LIMIT:
            raise _malformed("the multipart has too many parts")
        self._step = self._headers
        return [], end

    def _headers(self, data: bytes, at: int) -> tuple[list[Event], int]:
        """From the line end of the delimiter to the empty line; without headers these are the same."""
        end = data.find(b"\r\n\r\n", at)
        if end < 0 or end - at > HEADERS_LIMIT_BYTES:
            if len(data) - at > HEADERS_LIMIT_BYTES:
                raise _malformed("the headers of a part are too long")
            self._held = data[at:]
            return [], at
        self._step = self._content
        return [Begun(_parsed(data[at:end]))], end + 4

    def _content(self, data: bytes, at: int) -> tuple[list[Event], int]:
        found = data.find(self._delimiter, at)
        view = memoryview(data)
        if found >= 0:
            self._step = self._after_delimiter
            events: list[Event] = [Content(view[at:found])] if found > at else []
            return [*events, Ended()], found + len(self._delimiter)
        keep = _possible_beginning(data, at, self._delimiter)
        self._held = data[keep:]
        return [Content(view[at:keep])] if keep > at else [], keep


def _possible_beginning(data: bytes, at: int, delimiter: bytes) -> int:
    """Where a delimiter may begin that goes on in the next chunk; the end of the data when none can."""
    place = data.find(b"\r", max(at, len(data) - len(delimiter) + 1))
    while place >= 0:
        if delimiter.startswith(data[place:]):
            return place
        place = data.find(b"\r", place + 1)
    return len(data)


def _parsed(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n"):
        if line:
            name, colon, value = line.partition(b":")
            if not colon:
                raise _malformed("a header of a part is none")
            headers.setdefault(name.decode("latin-1").strip().lower(), value.decode("latin-1").strip())
    return headers


def _malformed(message: str) -> FramingError:
    return FramingError(message, code="multipart-malformed")
