"""Which heads stand in a segment, one behind the other; and, where the disk has lost one, which stand behind it?

Each object was flushed before the next one began behind it. So a head behind a place without one tells that somebody
was answered for an object whose head is lost, and so does a name in a page that is no head.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from pacs_gateway.segments.record import (
    PAGE,
    Head,
    NoRecordError,
    bears_generation,
    generation_by_head,
    generation_of,
    head_of,
    sha256_of,
)

_CHUNK = 256 * PAGE
"""Read at once while heads are looked for."""

Found = tuple[Head, bytes]
"""A head and its page."""


@dataclass(frozen=True, slots=True)
class Survey:
    """All heads of a segment that can be read, in their order; and whether something else of it cannot."""

    found: list[Found]
    is_damaged: bool


def heads(descriptor: int, generation: bytes, place: int = PAGE) -> Iterator[Found]:
    """Blocking. Those from a place on, up to the first place without one; the data sets behind them are not looked at.

    Raises OSError.
    """
    while True:
        page = os.pread(descriptor, PAGE, place)
        try:
            head = head_of(page, generation, place)
        except NoRecordError:
            return
        yield head, page
        place = head.after


def survey(descriptor: int, generation: bytes) -> Survey:
    """Blocking. Looks for heads behind every place without one, up to the end of the file."""
    found: list[Found] = []
    lost: list[int] = []
    place = PAGE
    while True:
        try:
            for head, page in heads(descriptor, generation, place):
                found.append((head, page))
                place = head.after
            if _was_named(os.pread(descriptor, PAGE, place), generation, place):
                lost.append(place)
        except OSError:
            lost.append(place)
        further = _next(descriptor, generation, place + PAGE, lost)
        if further is None:
            return Survey(found, bool(lost))
        lost.append(place)
        place = further


def generation_in(descriptor: int, otherwise: bytes) -> tuple[bytes, bool]:
    """Blocking. The generation of a segment, and whether the page that says it is damaged.

    otherwise  for one that was only being made when its process ended: it has none, and no objects
    """
    try:
        page = os.pread(descriptor, PAGE, 0)
        return generation_of(page), False
    except NoRecordError:
        if not page.strip(b"\0"):
            return otherwise, False
    except OSError:
        pass
    try:  # its first object says it too
        return generation_by_head(os.pread(descriptor, PAGE, PAGE)), True
    except (NoRecordError, OSError):
        return otherwise, True


def _next(descriptor: int, generation: bytes, start: int, lost: list[int]) -> int | None:
    """The first place from another on at which a head was written, whole or not; None when there is none.

    Places on the way that cannot be read are added to those that are lost.
    """
    size = os.fstat(descriptor).st_size
    for at in range(start, size, _CHUNK):
        try:
            chunk = os.pread(descriptor, _CHUNK, at)
        except OSError:
            chunk = _page_by_page(descriptor, at, min(_CHUNK, size - at), lost)
        for place in range(at, at + len(chunk), PAGE):
            if bears_generation(chunk[place - at : place - at + PAGE], generation, place):
                return place
    return None


def _page_by_page(descriptor: int, start: int, length: int, lost: list[int]) -> bytes:
    """A stretch in which something cannot be read; zeros stand for that."""
    chunk = bytearray()
    for place in range(start, start + length, PAGE):
        try:
            chunk += os.pread(descriptor, PAGE, place).ljust(PAGE, b"\0")
        except OSError:
            lost.append(place)
            chunk += bytes(PAGE)
    return bytes(chunk)


def _was_named(page: bytes, generation: bytes, place: int) -> bool:
    try:
        sha256_of(page, generation, place)
    except NoRecordError:
        return False
    return True
