"""What of an indexed object goes into the object store, and how is it known again there? By its data set alone.

The head of its file names its sender: who sends the same bytes under another AE title means the same object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, cast

from engine.errors import ParseError
from engine.ports import Finished
from engine.store.statements import as_sent
from pacs_gateway import part10
from pacs_gateway.rows import Indexed

_PIECE_BYTES = 1024 * 1024


def finished(one: Indexed) -> Finished:
    return Finished(
        key=as_sent(one.row.location),
        length=one.kept.head.file_length,
        stands_in=holds(one.row.sha256),
        opened=partial(_opened, one),
    )


def holds(sha256: bytes) -> Callable[[BinaryIO], bool]:
    """Tells of a file of PS3.10 whether its data set has this hash; blocking, and raises what reading the file does."""
    return partial(_holds, sha256)


def _holds(sha256: bytes, file: BinaryIO) -> bool:
    try:
        file.seek(part10.data_set_offset(file.read(part10.DATA_SET_OFFSET_BYTES)))
    except ParseError:
        return False
    digest = hashlib.sha256()
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.digest() == sha256


def _opened(one: Indexed) -> BinaryIO:
    return cast(BinaryIO, one.kept.segment.stretch(one.kept.head))
