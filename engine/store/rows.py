"""How do new resources travel into their table? As the bytes of a binary COPY, one row after another.

PostgreSQL writes the rows of a COPY page by page. As columns of one statement, which changed resources travel as, the
same bytes are taken apart, held and copied several times before the first row is written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from engine.codecs import fhir_json
from engine.errors import RecordError
from engine.store.tokens import tokens_of

TABLE = "resource"
COLUMNS = ("type", "id", "version", "last_updated", "body", "tokens", "envelope", "actor", "mapping")

_LENGTH = struct.Struct("!i").pack
_PUT_LENGTH = struct.Struct("!i").pack_into
_HEADER = b"PGCOPY\n\xff\r\n\0" + _LENGTH(0) + _LENGTH(0)  # no flags, no extension
_BEGIN = struct.pack("!h", len(COLUMNS))
_END = struct.pack("!h", -1)
_NULL = _LENGTH(-1)

_UUID = _LENGTH(16)
_VERSION = _LENGTH(4) + _LENGTH(1)
_MOMENT = struct.Struct("!iq").pack
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_LENGTH_BYTES = 4
_NO_LENGTH_YET = bytes(_LENGTH_BYTES)

_PIECE_BYTES = 256 * 1024
"""Of one message to the server, which takes none over a gigabyte; a row with its document is in one piece."""

_TEXT = 25  # the number of the type
_ARRAY = struct.Struct("!iiiiii").pack  # length, dimensions, no nulls, type, elements, the number of the first one
_ARRAY_HEAD_BYTES = 20
_EMPTY_ARRAY = struct.pack("!iiii", 12, 0, 0, _TEXT)

_NUL, _BACKSLASH = rb"\u0000", rb"\\"  # as JSON writes them

Row = tuple[dict[str, Any], UUID | None, str | None, str | None]
"""A resource that is new, version 1; its envelope, actor and mapping."""


def copied(rows: Iterable[Row], at: datetime) -> Iterator[bytearray]:
    """What COPY is given, in the order of COLUMNS and in pieces (PostgreSQL: COPY, Binary Format).

    Raises RecordError for U+0000, which no text of the database can hold.
    """
    version = _VERSION + _MOMENT(8, round((at - _EPOCH).total_seconds() * 1_000_000))
    piece = bytearray(_HEADER)
    for resource, envelope, actor, mapping in rows:
        kind, identity = resource["resourceType"], resource["id"].encode()
        piece += b"".join((_typed(kind), _LENGTH(len(identity)), identity, version, _NO_LENGTH_YET))
        begun = len(piece)
        fhir_json.append(resource, piece)
        _PUT_LENGTH(piece, begun - _LENGTH_BYTES, len(piece) - begun)
        if piece.find(b"\\", begun) >= 0:
            refuse_nul(resource, bytes(piece[begun:]))
        piece += b"".join(
            (
                _array(tokens_of(resource)),
                _NULL if envelope is None else _UUID + envelope.bytes,
                _text(actor),
                _text(mapping),
            )
        )
        if len(piece) > _PIECE_BYTES:
            yield piece
            piece = bytearray()
    piece += _END
    yield piece


def refuse_nul(resource: dict[str, Any], body: bytes) -> None:
    """Raises RecordError when the body of a resource, its JSON, holds U+0000."""
    if _NUL in body and _NUL in body.replace(_BACKSLASH, b""):
        reference = f"{resource['resourceType']}/{resource['id']}"
        raise RecordError(f"{reference} holds the character U+0000", location=reference, code="nul-character")


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
