"""How does a piece of the stream travel? With its place and its hash, compressed where that pays."""

from __future__ import annotations

import base64
import binascii
import zlib
from hashlib import sha256

from engine.errors import ParseError

OFFSET = "Upload-Offset"
DIGEST = "Content-Digest"
"""RFC 9530, of the bytes as they are sent."""
ENCODING = "Content-Encoding"
DEFLATE = "deflate"

CHUNK_LIMIT_BYTES = 2 * 1024**2
"""Of a piece before it is compressed: half of what the web server takes in one request."""
_TRIED_BYTES = 64 * 1024
_PAYS = 0.9
"""Compressed to less than this of its length, or sent as it is."""
_LEVEL = 1


def packed(piece: bytes) -> tuple[bytes, bool]:
    """What is sent for a piece, and whether it is compressed. Its beginning tells whether that may pay."""
    tried = piece[:_TRIED_BYTES]
    if len(zlib.compress(tried, _LEVEL)) >= _PAYS * len(tried):
        return piece, False
    compressed = zlib.compress(piece, _LEVEL)
    return (compressed, True) if len(compressed) < _PAYS * len(piece) else (piece, False)


def digest_of(sent: bytes) -> str:
    return f"sha-256=:{base64.b64encode(sha256(sent).digest()).decode()}:"


def unpacked(sent: bytes, digest: str, *, compressed: bool, limit: int = CHUNK_LIMIT_BYTES) -> bytes:
    """The piece. Raises ParseError `chunk-damaged` when it is not what was sent, or longer than one may be."""
    if not _is_of(sent, digest):
        raise _damaged("has another hash than it says")
    if not compressed:
        piece = sent
    else:
        inflater = zlib.decompressobj()
        try:
            piece = inflater.decompress(sent, limit + 1)
        except zlib.error as error:
            raise _damaged("cannot be inflated") from error
        if len(piece) <= limit and not inflater.eof:
            raise _damaged("is compressed and breaks off")
    if not 0 < len(piece) <= limit:
        raise _damaged("is empty or too long")
    return piece


def _is_of(sent: bytes, digest: str) -> bool:
    algorithm, _, value = digest.partition("=")
    try:
        said = base64.b64decode(value.strip(":"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return algorithm.strip().lower() == "sha-256" and said == sha256(sent).digest()


def _damaged(what: str) -> ParseError:
    return ParseError(f"a piece {what}", code="chunk-damaged")
