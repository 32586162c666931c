"""What did an earlier process leave in the spool? Whole objects get their index rows; anything else never was one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import xxhash

from engine.errors import ParseError, StorageError
from pacs_gateway.identify import identifying
from pacs_gateway.indexing import Index
from pacs_gateway.receiving import Kept
from pacs_gateway.rows import Indexed
from pacs_gateway.segments.record import NOT_KNOWN, Head, NoRecordError
from pacs_gateway.segments.segment import Segment
from pacs_gateway.segments.spool import Spool

BATCH_LIMIT = 64
_BUFFER_BYTES = 1024 * 1024

_log = logging.getLogger(__name__)

_Left = tuple[Segment, Head]


async def complete_index(spool: Spool, index: Index) -> list[Indexed]:
    """Adds the rows of every whole object that is in an opened spool, and returns those objects.

    One that has its row already is not read: its hash is compared when it is moved. Raises StorageError when disk or
    database say no; then nothing may be received yet.
    """
    left = await asyncio.to_thread(list, spool.left_behind())
    if spool.damaged:
        _log.error("the disk has lost objects that were answered: %s", [str(one.path) for one in spool.damaged])
        await index.tell_of_damaged(spool.damaged)
    spool.use_what_is_empty()
    indexed: list[Indexed] = []
    for start in range(0, len(left), BATCH_LIMIT):
        batch = left[start : start + BATCH_LIMIT]
        names = await asyncio.to_thread(_names, batch)
        rows = await index.known(list(names.values()))
        there = {one: rows[name] for one, name in names.items() if name in rows}
        indexed += [Indexed(Kept(segment, head, {}), row) for (segment, head), row in there.items()]
        whole, torn, damaged = await asyncio.to_thread(_read_again, [one for one in batch if one not in there])
        indexed += await index.commit(whole, damaged)
        for segment in torn:
            spool.release(segment)
    return indexed


def _names(left: Sequence[_Left]) -> dict[_Left, tuple[str, str, bytes]]:
    """Instance, facility and SHA-256 of those that were hashed before their process ended."""
    names = {}
    for segment, head in left:
        with suppress(NoRecordError, OSError):
            sha256 = segment.sha256(head)
            if sha256 != NOT_KNOWN:
                names[segment, head] = (head.sop_uid, head.facility, sha256)
    return names


def _read_again(left: Sequence[_Left]) -> tuple[list[Kept], list[Segment], list[Kept]]:
    """Objects that are whole; the segments of those that never were, once for each; and the damaged.

    An object has a name only once it was flushed: if it is not whole then, or cannot be read, somebody has to know.
    """
    whole: list[Kept] = []
    torn: list[Segment] = []
    damaged: list[Kept] = []
    for segment, head in left:
        try:
            kept = _whole(segment, head)
        except (NoRecordError, ParseError, OSError):
            if _was_flushed(segment, head):
                _log.error("the disk has damaged an object that was flushed; it stays in %s", segment.path)
                damaged.append(Kept(segment, head, {}))
            else:
                _log.warning("an object that was never answered is dropped from the spool: it is not whole")
                torn.append(segment)
        else:
            _name(kept)
            whole.append(kept)
    return whole, torn, damaged


def _name(kept: Kept) -> None:
    try:
        kept.segment.name(kept.head)
    except StorageError as error:
        _log.error("an object cannot be read before it is in the store: %s", error.message)


def _was_flushed(segment: Segment, head: Head) -> bool:
    try:
        segment.sha256(head)
    except NoRecordError:
        return False
    except OSError:
        return True  # nobody can tell, so somebody has to know
    return True


def _whole(segment: Segment, head: Head) -> Kept:
    """An object and its identifying elements.

    Raises NoRecordError and ParseError when its data set is not what it was when its head was written, OSError when the
    disk does not give it back.
    """
    walk = identifying(head.transfer_syntax)
    digest, xxh3, crc = hashlib.sha256(), xxhash.xxh3_128(), 0
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    left, at = head.length, head.data_at
    while left:
        taken = segment.read(buffer[:left], at)
        if not taken:
            raise NoRecordError
        piece = buffer[:taken]
        digest.update(piece)
        xxh3.update(piece)
        crc = zlib.crc32(piece, crc)
        walk.feed(piece)
        left, at = left - taken, at + taken
    sha256 = digest.digest()
    earlier = sha256 == head.sha256 if head.sha256 else crc == head.crc
    if not (xxh3.digest() == head.xxh3 if head.xxh3 else earlier):
        raise NoRecordError
    return Kept(segment, replace(head, sha256=sha256), walk.end())
