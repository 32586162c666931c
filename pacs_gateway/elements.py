"""Is an encoded data set whole, and what stands at its top level? Bytes in, raw values out; nothing is decoded here.

The walk follows the lengths from the first element to the last byte, without reading pixel data. It takes
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

_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""VRs whose explicit length has two bytes (PS3.5 §7.1.2); every other has four."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How tags and lengths are written."""

    implicit: bool
    tag: struct.Struct
    short: struct.Struct
    long: struct.Struct


_IMPLICIT_LITTLE = _Layout(True, struct.Struct("<HH"), struct.Struct("<H"), struct.Struct("<I"))
_EXPLICIT_LITTLE = _Layout(False, struct.Struct("<HH"), struct.Struct("<H"), struct.Struct("<I"))
_EXPLICIT_BIG = _Layout(False, struct.Struct(">HH"), struct.Struct(">H"), struct.Struct(">I"))


def top_level(data: bytes, transfer_syntax: str, wanted: frozenset[int]) -> dict[int, bytes]:
    """The raw values of the wanted top-level tags that are present.

    Raises ParseError `dicom-truncated` when a length leads past the end, `dicom-unparsable` when what is there is no
    data set at all.
    """
    layout = _EXPLICIT_LITTLE
    if transfer_syntax == ImplicitVRLittleEndian:
        layout = _IMPLICIT_LITTLE
    elif transfer_syntax == ExplicitVRBigEndian:
        layout = _EXPLICIT_BIG
    elif transfer_syntax == DeflatedExplicitVRLittleEndian:
        data = _inflate(data)
    if not data:
        raise ParseError("an empty data set", code="dicom-unparsable")
    return _Walk(data, layout, wanted).run()


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, INFLATED_LIMIT_BYTES)
    except zlib.error as error:
        raise ParseError("the deflated data set does not inflate", code="dicom-unparsable") from error
    if inflater.unconsumed_tail:
        raise ParseError("the deflated data set is larger than allowed", code="dicom-unparsable")
    if not inflater.eof:
        raise ParseError("the deflated data set has no end", code="dicom-truncated")
    return inflated


class _Walk:
    def __init__(self, data: bytes, layout: _Layout, wanted: frozenset[int]) -> None:
        self._data = data
        self._end = len(data)
        self._layout = layout
        self._wanted = wanted

    def run(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        at = 0
        while at < self._end:
            if self._end - at < 8 or self._data[at : at + 8] == bytes(8):
                if any(self._data[at:]):
                    raise self._truncated(at)
                break  # zeros that a device appended to reach a block size
            tag, length, value_at = self._header(at, self._layout)
            at = self._after_value(tag, length, value_at, self._layout, 0)
            if tag in self._wanted and length != _UNDEFINED:
                found.setdefault(tag, self._data[value_at:at])
        return found

    def _header(self, at: int, layout: _Layout) -> tuple[int, int, int]:
        """Tag, length and where the value starts."""
        data = self._data
        try:
            group, element = layout.tag.unpack_from(data, at)
            tag = group << 16 | element
            vr = data[at + 4 : at + 6]
            if layout.implicit or group == 0xFFFE or not (vr.isalpha() and vr.isupper()):
                # A VR that is no two letters: some writers slip implicit elements into an explicit data set.
                return tag, layout.long.unpack_from(data, at + 4)[0], at + 8
            if vr in _SHORT:
                return tag, layout.short.unpack_from(data, at + 6)[0], at + 8
            return tag, layout.long.unpack_from(data, at + 8)[0], at + 12
        except struct.error:
            raise self._truncated(at) from None

    def _after_value(self, tag: int, length: int, value_at: int, layout: _Layout, depth: int) -> int:
        if length != _UNDEFINED:
            after = value_at + length
            if after > self._end:
                raise self._truncated(value_at, tag)
            return after
        if not layout.implicit and self._data[value_at - 8 : value_at - 6] == b"UN":
            layout = _IMPLICIT_LITTLE  # PS3.5 §6.2.2: a UN of undefined length holds implicit little endian
        return self._after_items(tag, value_at, layout, depth + 1)

    def _after_items(self, sequence: int, at: int, layout: _Layout, depth: int) -> int:
        """Past the delimiter of a sequence, or of encapsulated pixel data, of undefined length."""
        if depth > DEPTH_LIMIT:
            raise ParseError("sequences are nested too deeply", code="dicom-unparsable", location=_name(sequence))
        while True:
            tag, length, value_at = self._header(at, layout)
            if tag == _SEQUENCE_END:
                return value_at
            if tag != _ITEM:
                raise ParseError(
                    "a sequence holds something else than items", code="dicom-unparsable", location=_name(sequence)
                )
            if length != _UNDEFINED:
                at = value_at + length
                if at > self._end:
                    raise self._truncated(value_at, sequence)
                continue
            at = value_at
            while True:
                tag, length, value_at = self._header(at, layout)
                if tag == _ITEM_END:
                    at = value_at
                    break
                at = self._after_value(tag, length, value_at, layout, depth)

    def _truncated(self, at: int, tag: int | None = None) -> ParseError:
        return ParseError(
            f"the data set ends before its element at byte {at} does",
            code="dicom-truncated",
            location=_name(tag) if tag is not None else None,
        )


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
