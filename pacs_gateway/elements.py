"""Is an encoded data set whole, and what stands at its top level? Bytes in, raw values out; nothing is decoded here.

The walk follows the lengths from the first element to the last byte, without reading pixel data, and takes the bytes
as they come: it holds one element header and the beginnings of the wanted values, however large the object is. It takes
what real devices send (a VR that nobody knows, elements out of order, odd lengths, zeros at the end) and refuses
only what has no end: a length that leads past the last byte, a sequence that is never closed.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from engine.errors import ParseError

DEPTH_LIMIT = 100
"""Sequences within sequences; a structured report of a real device stays below 20."""
INFLATED_LIMIT_BYTES = 1024 * 1024 * 1024
"""A deflated data set that grows beyond this is an attack."""
VALUE_LIMIT_BYTES = 4096
"""Of a wanted value only this beginning is held: no identifying attribute may be as long."""

_INFLATED_PIECE_BYTES = 256 * 1024
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
"""The group of items and delimiters, which have no VR."""
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_NOTHING = bytes(8)
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""VRs whose explicit length has two bytes (PS3.5 §7.1.2); every other has four."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How headers are written: tag, VR and short length; the same bytes with one long length; a long length alone."""

    implicit: bool
    short: struct.Struct
    whole: struct.Struct
    long: struct.Struct


_IMPLICIT_LITTLE = _Layout(True, struct.Struct("<HH2sH"), struct.Struct("<HHI"), struct.Struct("<I"))
_EXPLICIT_LITTLE = _Layout(False, struct.Struct("<HH2sH"), struct.Struct("<HHI"), struct.Struct("<I"))
_EXPLICIT_BIG = _Layout(False, struct.Struct(">HH2sH"), struct.Struct(">HHI"), struct.Struct(">I"))


@dataclass(frozen=True, slots=True)
class _Open:
    """A sequence, or an item of one, of undefined length that has not been closed yet."""

    tag: int
    layout: _Layout
    item: bool


def top_level(data: bytes, transfer_syntax: str, wanted: frozenset[int]) -> dict[int, bytes]:
    """The raw values of the wanted top-level tags that are present. Raises as `walk_of` and its methods do."""
    walk = walk_of(transfer_syntax, wanted)
    walk.feed(data)
    return walk.end()


def walk_of(transfer_syntax: str, wanted: frozenset[int]) -> Walk:
    """A walk over a data set that has not come yet."""
    if transfer_syntax == ImplicitVRLittleEndian:
        return Walk(_IMPLICIT_LITTLE, wanted)
    if transfer_syntax == ExplicitVRBigEndian:
        return Walk(_EXPLICIT_BIG, wanted)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        return _DeflatedWalk(_EXPLICIT_LITTLE, wanted)
    return Walk(_EXPLICIT_LITTLE, wanted)


class Walk:
    """Takes a data set piece by piece through `feed`, then tells with `end` whether that was all of it.

    Both raise ParseError: `dicom-truncated` when a length leads past the end, `dicom-unparsable` when what is there is
    no data set at all.
    """

    def __init__(self, layout: _Layout, wanted: frozenset[int]) -> None:
        self._layout = layout
        self._wanted = wanted
        self._found: dict[int, bytes] = {}
        self._open: list[_Open] = []
        self._depth = 0
        self._seen = 0
        """Bytes of the data set before the piece at hand."""
        self._pending = b""
        """A header of which only this has come."""
        self._left = 0
        """Bytes of the value at hand that are still to come."""
        self._value: tuple[int, int] | None = None
        """Tag and place of that value."""
        self._kept: bytearray | None = None
        """Its beginning, if it is wanted."""
        self._padded = False

    def feed(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes; keeps no view of them."""
        if self._pending:
            piece = self._pending + bytes(piece)
            self._seen -= len(self._pending)
            self._pending = b""
        at = self._walk(piece)
        self._pending = bytes(piece[at:])
        self._seen += len(piece)

    def end(self) -> dict[int, bytes]:
        """The raw values of the wanted top-level tags that are present; every byte of the data set has been fed."""
        if not self._seen:
            raise ParseError("an empty data set", code="dicom-unparsable")
        if self._left and self._value is not None:
            raise _truncated(self._value[1], self._value[0])
        if self._open or any(self._pending):
            raise _truncated(self._seen - len(self._pending))
        return self._found

    def _walk(self, piece: bytes | memoryview) -> int:
        """Goes as far as the piece does; where the header begins that it holds only in part."""
        at, size = 0, len(piece)
        while True:
            if self._left:
                at = self._through_value(piece, at)
            elif not self._open and not self._layout.implicit and not self._padded:
                at = self._past_plain_elements(piece, at)
            if size - at < 8:
                return at
            if not self._open and (self._padded or piece[at : at + 8] == _NOTHING):
                self._padded = True  # zeros that a device appended to reach a block size
                if bytes(piece[at:]).strip(b"\0"):
                    raise _truncated(self._seen + at)
                return size
            layout = self._open[-1].layout if self._open else self._layout
            tag, length, header_size, vr = _header(piece, at, layout)
            if at + header_size > size:
                return at
            at += header_size
            self._enter(tag, length, vr, layout, at)

    def _past_plain_elements(self, piece: bytes | memoryview, at: int) -> int:
        """Past the top-level elements that lie whole in the piece and have a short length: nearly all there are.

        One loop without a call for each of them: this is where most of the time for a small object would go.
        """
        unpack, wanted, last = self._layout.short.unpack_from, self._wanted, len(piece) - 8
        while at <= last:
            group, element, vr, length = unpack(piece, at)
            after = at + 8 + length
            if vr not in _SHORT or group == _DELIMITERS or after > last + 8:
                return at
            if (tag := group << 16 | element) in wanted:
                self._found.setdefault(tag, bytes(piece[at + 8 : min(after, at + 8 + VALUE_LIMIT_BYTES)]))
            at = after
        return at

    def _through_value(self, piece: bytes | memoryview, at: int) -> int:
        taken = min(self._left, len(piece) - at)
        if self._kept is not None:
            self._kept += piece[at : at + min(taken, VALUE_LIMIT_BYTES - len(self._kept))]
        self._left -= taken
        if not self._left and self._kept is not None and self._value is not None:
            self._found.setdefault(self._value[0], bytes(self._kept))
            self._kept = None
        return at + taken

    def _enter(self, tag: int, length: int, vr: bytes, layout: _Layout, at: int) -> None:
        """What a header begins, or ends."""
        if self._open:
            if not self._open[-1].item:
                self._in_sequence(tag, length, layout, at)
                return
            if tag == _ITEM_END:
                self._open.pop()
                return
        if length == _UNDEFINED:
            self._begin_sequence(tag, vr, layout)
            return
        self._skip(tag, length, at)
        if not self._open and tag in self._wanted:
            if length:
                self._kept = bytearray()
            else:
                self._found.setdefault(tag, b"")

    def _in_sequence(self, tag: int, length: int, layout: _Layout, at: int) -> None:
        sequence = self._open[-1].tag
        if tag == _SEQUENCE_END:
            self._open.pop()
            self._depth -= 1
        elif tag != _ITEM:
            raise ParseError(
                "a sequence holds something else than items", code="dicom-unparsable", location=_name(sequence)
            )
        elif length == _UNDEFINED:
            self._open.append(_Open(sequence, layout, item=True))
        else:
            self._skip(sequence, length, at)

    def _begin_sequence(self, tag: int, vr: bytes, layout: _Layout) -> None:
        """A sequence, or encapsulated pixel data, of undefined length."""
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise ParseError("sequences are nested too deeply", code="dicom-unparsable", location=_name(tag))
        if vr == b"UN" and not layout.implicit:
            layout = _IMPLICIT_LITTLE  # PS3.5 §6.2.2: a UN of undefined length holds implicit little endian
        self._open.append(_Open(tag, layout, item=False))

    def _skip(self, tag: int, length: int, at: int) -> None:
        self._left = length
        self._value = (tag, self._seen + at)


class _DeflatedWalk(Walk):
    """A walk over what a deflated data set holds (PS3.5 §A.5); it is inflated in small pieces that are not kept."""

    def __init__(self, layout: _Layout, wanted: frozenset[int]) -> None:
        super().__init__(layout, wanted)
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._begun = False

    def feed(self, piece: bytes | memoryview) -> None:
        rest: bytes | memoryview = piece
        more = len(piece) > 0
        while more and not self._inflater.eof:
            self._begun = True
            try:
                inflated = self._inflater.decompress(rest, _INFLATED_PIECE_BYTES)
            except zlib.error as error:
                raise ParseError("the deflated data set does not inflate", code="dicom-unparsable") from error
            rest = self._inflater.unconsumed_tail
            more = len(rest) > 0 or len(inflated) == _INFLATED_PIECE_BYTES  # it may hold output without any input left
            super().feed(inflated)
            if self._seen > INFLATED_LIMIT_BYTES:
                raise ParseError("the deflated data set is larger than allowed", code="dicom-unparsable")

    def end(self) -> dict[int, bytes]:
        if self._begun and not self._inflater.eof:
            raise ParseError("the deflated data set has no end", code="dicom-truncated")
        return super().end()


def _header(piece: bytes | memoryview, at: int, layout: _Layout) -> tuple[int, int, int, bytes]:
    """Tag, length, size of the header and VR; a size beyond the piece says that the length is still to come."""
    if layout.implicit:
        group, element, length = layout.whole.unpack_from(piece, at)
        return group << 16 | element, length, 8, b""
    group, element, vr, short = layout.short.unpack_from(piece, at)
    tag = group << 16 | element
    if vr in _SHORT and group != _DELIMITERS:
        return tag, short, 8, vr
    if group == _DELIMITERS or not (vr.isalpha() and vr.isupper()):
        # A VR that is no two letters: some writers slip implicit elements into an explicit data set.
        return tag, layout.long.unpack_from(piece, at + 4)[0], 8, b""
    if at + 12 > len(piece):
        return tag, 0, 12, vr
    return tag, layout.long.unpack_from(piece, at + 8)[0], 12, vr


def _truncated(at: int, tag: int | None = None) -> ParseError:
    return ParseError(
        f"the data set ends before its element at byte {at} does",
        code="dicom-truncated",
        location=_name(tag) if tag is not None else None,
    )


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
