"""How is an identifier written? The data set of a query or an answer: bytes ↔ pydicom's Dataset."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from engine.errors import ParseError
from pacs_gateway.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

IDENTIFIER_LIMIT = 1024 * 1024
"""Of an identifier, also once it is inflated: real ones are a few kilobytes long."""

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, NotImplementedError, OSError,
              RecursionError, struct.error, zlib.error, BytesLengthException, InvalidDicomError)  # fmt: skip
"""What pydicom raises over bytes that are no data set; it reads an element when it is asked for it, so as late as
that."""


class Gathered:
    """The data set of a request as it comes in, piece by piece; what is longer than a real one is not kept."""

    def __init__(self, transfer_syntax: str, limit: int = IDENTIFIER_LIMIT) -> None:
        self._transfer_syntax = transfer_syntax
        self._limit = limit
        self._data = bytearray()

    @property
    def data(self) -> bytes:
        """As it came."""
        return bytes(self._data)

    def write(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            if len(self._data) <= self._limit:
                self._data += piece

    def abandon(self) -> None:
        self._data.clear()

    def read(self) -> Dataset:
        """Raises ParseError `query-malformed`."""
        return decoded(bytes(self._data), self._transfer_syntax, self._limit)


def decoded(data: bytes, transfer_syntax: str, limit: int = IDENTIFIER_LIMIT) -> Dataset:
    """Raises ParseError `query-malformed`."""
    if len(data) > limit:
        raise ParseError("the identifier is too long", code="query-malformed")
    try:
        if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)
        return read_dataset(BytesIO(data), *encoding(transfer_syntax))
    except UNREADABLE as error:
        raise malformed() from error


def encoded(dataset: Dataset, transfer_syntax: str) -> bytes:
    """Raises what `UNREADABLE` lists over a value that its VR cannot hold."""
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = encoding(transfer_syntax)
    write_dataset(stream, dataset)
    written = stream.getvalue()
    if transfer_syntax != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return written
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(written) + deflater.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def encoding(transfer_syntax: str) -> tuple[bool, bool]:
    """Implicit VR? Little endian?"""
    return transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN, transfer_syntax != EXPLICIT_VR_BIG_ENDIAN


def malformed(what: str = "the identifier cannot be read") -> ParseError:
    return ParseError(what, code="query-malformed")
