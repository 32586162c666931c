"""What is the SHA-256 of an object that was kept? Worked out after its answer, from what the page cache still holds."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import xxhash

from engine.errors import StorageError
from pacs_gateway.segments.record import Head
from pacs_gateway.segments.segment import Segment

BUFFER_BYTES = 256 * 1024
"""Stays in a processor's cache between its reading and its hashing."""

_buffers = threading.local()


def hashed(segment: Segment, head: Head) -> Head:
    """Blocking. The head with its SHA-256, by which readers find the object from now on.

    Raises StorageError when the disk does not give back what it took.
    """
    sha256, xxh3 = hashlib.sha256(), xxhash.xxh3_128()
    buffer = _buffer()
    left, at = head.length, head.data_at
    while left:
        try:
            taken = segment.read(buffer[:left], at)
        except OSError as error:
            raise StorageError(f"an object could not be read back: {error.strerror}") from error
        if not taken:
            raise StorageError("an object could not be read back: its segment ends before it does")
        sha256.update(buffer[:taken])
        xxh3.update(buffer[:taken])
        left, at = left - taken, at + taken
    if xxh3.digest() != head.xxh3:
        raise StorageError("an object could not be read back: it is not what was written")
    known = replace(head, sha256=sha256.digest())
    segment.name(known)
    return known


def _buffer() -> memoryview:
    """A buffer of this thread."""
    try:
        view: memoryview = _buffers.view
    except AttributeError:
        view = _buffers.view = memoryview(bytearray(BUFFER_BYTES))
    return view
