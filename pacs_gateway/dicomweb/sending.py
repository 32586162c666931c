"""How does an object leave? One file by the server's own hand where it can, parts streamed piece by piece where not.

At most one piece of a file is in memory for each answer, whatever is asked for.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.errors import HutongError
from pacs_gateway.part10 import DATA_SET_OFFSET_BYTES, data_set_offset

PIECE_BYTES = 1024 * 1024
_PATH_SEND = "http.response.pathsend"
HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept, Accept-Encoding"}
"""It is one person's, and to be asked for again before it is shown again: what is served may change (`unchanged`)."""
_RAW_HEADERS = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer: a file, or some stretches of its data set, one after another.

    opened     opens the file; blocking
    stretches  from byte of the data set, number of bytes; none for the whole file. What stands before the data set may
               be of another length in the spool than in the store
    path       where the whole file is on the local disk; empty where it may be elsewhere
    """

    content_type: str
    location: str
    opened: Callable[[], BinaryIO]
    stretches: Sequence[tuple[int, int]] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """One part of an answer that is made when its turn comes, so that no two are in memory."""

    content_type: str
    location: str
    made: Callable[[], Awaitable[bytes]]


class Whole(Response):
    """A body that is in memory, told without the work that a response of many kinds has."""

    def __init__(self, body: bytes | bytearray, media_type: str, status: int = 200) -> None:
        self.status_code = status
        self.background = None
        self._body = body
        self.raw_headers = [
            *_RAW_HEADERS,
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._body})


class StoredFile(Response):
    """A whole file. The server copies it from the kernel's cache to the socket where it offers to."""

    def __init__(self, path: os.PathLike[str], size: int, media_type: str) -> None:
        super().__init__(media_type=media_type, headers=HEADERS)
        self.headers["Content-Length"] = str(size)
        self._path = os.fspath(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if _PATH_SEND in scope.get("extensions", {}):
            await send({"type": _PATH_SEND, "path": self._path})
            return
        with await asyncio.to_thread(open, self._path, "rb", 0) as file:
            async for piece in _pieces(file, ()):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def single(part: Part) -> Response:
    """One part by itself."""
    headers = {**HEADERS, "Content-Location": part.location}
    if (whole := await asyncio.to_thread(_whole_if_small, part)) is not None:
        return Response(whole, media_type=part.content_type, headers=headers)
    return StreamingResponse(_contents(part), media_type=part.content_type, headers=headers)


async def multipart(kind: str, parts: Sequence[Part | Made], boundary: str, status: int = 200) -> Response:
    """multipart/related (RFC 2387); `kind` is the media type of the parts, `boundary` nothing that is in one."""
    media_type = f'multipart/related; type="{kind}"; boundary={boundary}'
    if len(parts) == 1 and isinstance(one := parts[0], Part):
        head, tail = _head(one, boundary), _tail(boundary)
        if one.path and (near := at_hand(one.path, head, tail)) is not None:
            return Whole(near, media_type, status)
        if (whole := await asyncio.to_thread(_whole_if_small, one)) is not None:
            return Response(b"".join((head, whole, tail)), status, media_type=media_type, headers=HEADERS)
    return StreamingResponse(_body(parts, boundary), status, media_type=media_type, headers=HEADERS)


def at_hand(path: str, before: bytes = b"", after: bytes = b"") -> bytearray | None:
    """A small file between two texts, when the kernel has all of it in its cache; None when it would have to wait.

    One buffer, read into where it belongs: a second one of half a megabyte for each answer costs more than the reading.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        if size > PIECE_BYTES:
            return None
        whole = bytearray(len(before) + size + len(after))
        with memoryview(whole) as room:
            room[: len(before)] = before
            got = os.preadv(descriptor, [room[len(before) : len(before) + size]], 0, os.RWF_NOWAIT)
            room[len(before) + size :] = after
        return whole if got == size else None
    except OSError:  # EAGAIN: not in the cache; EOPNOTSUPP: a file system that does not tell
        return None
    finally:
        os.close(descriptor)


async def _body(parts: Sequence[Part | Made], boundary: str) -> AsyncIterator[bytes]:
    between = b""
    for part in parts:
        yield between + _head(part, boundary)
        if isinstance(part, Made):
            yield await _in_its_turn(part)
        else:
            async for piece in _contents(part):
                yield piece
        between = b"\r\n"
    yield _tail(boundary)


async def _in_its_turn(part: Made) -> bytes:
    """Raises ConnectionAbortedError: what has begun as a whole answer is not to end as one."""
    try:
        return await part.made()
    except HutongError as error:
        raise ConnectionAbortedError("a part of an answer cannot be made") from error


def _head(part: Part | Made, boundary: str) -> bytes:
    lines = (f"--{boundary}", f"Content-Type: {part.content_type}", f"Content-Location: {part.location}", "", "")
    return "\r\n".join(lines).encode()


def _tail(boundary: str) -> bytes:
    return f"\r\n--{boundary}--\r\n".encode()


def _whole_if_small(part: Part) -> bytes | None:
    """What fits into one piece, in one visit to the disk; None for what is larger."""
    with part.opened() as file:
        if not part.stretches:
            whole = file.read(PIECE_BYTES)
            return whole if len(whole) < PIECE_BYTES else None
        if sum(length for _, length in part.stretches) > PIECE_BYTES:
            return None
        start = data_set_offset(file.read(DATA_SET_OFFSET_BYTES))
        return b"".join(_read_at(file, start + at, length) for at, length in part.stretches)


async def _contents(part: Part) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(part.opened)
    with file:
        async for piece in _pieces(file, part.stretches):
            yield piece


async def _pieces(file: BinaryIO, stretches: Sequence[tuple[int, int]]) -> AsyncIterator[bytes]:
    if not stretches:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
        return
    start = data_set_offset(await asyncio.to_thread(file.read, DATA_SET_OFFSET_BYTES))
    for at, length in stretches:
        left = length
        while left:
            piece = await asyncio.to_thread(_read_at, file, start + at + length - left, min(left, PIECE_BYTES))
            if not piece:
                raise ConnectionAbortedError("an object is shorter than it was")
            yield piece
            left -= len(piece)


def _read_at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at, io.SEEK_SET)
    return file.read(size)
