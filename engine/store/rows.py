"""How do new resources travel into their table? As the bytes of a binary COPY, one row after another.

PostgreSQL writes the rows of a COPY page by page. As columns of one statement, which changed resources travel as, the
same bytes are taken apart, held and copied several times before the first row is written.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

TABLE = "resource"
COLUMNS = ("type", "id", "version", "last_updated", "body", "tokens", "envelope", "actor", "mapping")

_LENGTH = struct.Struct("!i").pack
_HEADER = b"PGCOPY\n\xff\r\n\0" + _LENGTH(0) + _LENGTH(0)  # no flags, no extension
_BEGIN = struct.pack("!h", len(COLUMNS))
_END = struct.pack("!h", -1)
_NULL = _LENGTH(-1)

_UUID_BYTES = 16
_VERSION = _LENGTH(4) + _LENGTH(1)
_MOMENT = struct.Struct("!iq").pack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

_PIECE_BYTES = 256 * 1024
"""Of one message to the server, which takes none over a gigabyte; a row with its document is in one piece."""

_TEXT = 25  # the number of the type
_ARRAY = struct.Struct("!iiiiii").pack  # length, dimensions, no nulls, type, elements, the number of the first one
_ARRAY_HEAD_BYTES = 20
_EMPTY_ARRAY = struct.pack("!iiii", 12, 0, 0, _TEXT)


class Row(NamedTuple):
    """A resource that is new: version 1."""

    type: str
    id: str
    body: bytes
    tokens: Sequence[str]
    envelope: UUID | None
    actor: str | None
    mapping: str | None


async def copied(rows: Iterable[Row], at: datetime) -> AsyncIterator[bytes]:
    """What COPY is given, in the order of COLUMNS and in pieces (PostgreSQL: COPY, Binary Format)."""
    version = _VERSION + _MOMENT(8, round((at - _EPOCH).total_seconds() * 1_000_000))
    parts, held = [_HEADER], 0
    for kind, id_, body, tokens, envelope, actor, mapping in rows:
        identity = id_.encode()
        parts += (
            _typed(kind),
            _LENGTH(len(identity)),
            identity,
            version,
            _LENGTH(len(body)),
            body,
            _array(tokens),
            _NULL if envelope is None else _LENGTH(_UUID_BYTES) + envelope.bytes,
            _text(actor),
            _text(mapping),
        )
        held += len(body)
        if held > _PIECE_BYTES:
            yield b"".join(parts)
            parts, held = [], 0
    parts.append(_END)
    yield b"".join(parts)


@lru_cache(maxsize=256)
def _typed(kind: str) -> bytes:
    return _BEGIN + _text(kind)


@lru_cache(maxsize=1024)
def _text(value: str | None) -> bytes:
    return _NULL if value is None else _element(value)


def _array(tokens: Sequence[str]) -> bytes:
    if not tokens:
        return _EMPTY_ARRAY
    elements = b"".join(map(_token, tokens))
    return _ARRAY(_ARRAY_HEAD_BYTES + len(elements), 1, 0, _TEXT, len(tokens), 1) + elements


def _element(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH(len(encoded)) + encoded


_token = lru_cache(maxsize=16384)(_element)
"""The results of a message share most of their tokens, and so do those of a day."""
