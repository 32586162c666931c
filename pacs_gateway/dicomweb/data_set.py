"""Where in a file do the elements of a data set stand? A walk over headers that reads no value it is not asked for.

Takes what has been stored: the reception has made sure that the data set is whole. What is not expected inside of
sequences raises ParseError, and so does a data set with more elements than any has.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from engine.errors import ParseError
from pacs_gateway import part10
from pacs_gateway.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)

DEPTH_LIMIT = 100
ELEMENTS_LIMIT = 1_000_000
INFLATED_LIMIT_BYTES = 1024 * 1024 * 1024
_INFLATED_IN_MEMORY_BYTES = 8 * 1024 * 1024
"""What inflates to more is put into a temporary file."""

PIXEL_DATA = 0x7FE00010
_HEAD_BYTES = 4096
_PIECE_BYTES = 256 * 1024
_UNDEFINED = 0xFFFFFFFF
_DELIMITERS = 0xFFFE
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_FROM_DICTIONARY = {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How headers are written. `order` is the byte order as `struct` names it."""

    implicit: bool
    order: str


_UNKNOWN = Layout(True, "<")
"""Of what is in a UN (PS3.5 §6.2.2)."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element at a place of the file.

    length  of its value in bytes; that of a sequence, or of encapsulated pixel data, of undefined length reaches to
            its delimiter
    open    whether its length is undefined
    layout  of what it holds
    """

    tag: int
    vr: str
    at: int
    length: int
    open: bool
    layout: Layout


class DataSet:
    """The data set of a file of PS3.10. To be used by one thread, and only while the file is open."""

    def __init__(self, file: BinaryIO, transfer_syntax: str) -> None:
        file.seek(0)
        self._start = part10.data_set_offset(file.read(_HEAD_BYTES))
        self._file = file
        if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            self._file, self._start = _inflated(file, self._start), 0
        self._size = self._file.seek(0, io.SEEK_END)
        self._ends: dict[int, int] = {}
        self._seen = 0
        self.layout = Layout(
            transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN, ">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<"
        )

    def top(self) -> Iterator[Element]:
        """The elements of the top level, in the order of the file; group lengths left out.

        Encapsulated pixel data are the last of them: to find what stands behind, all of their items would be read.
        """
        return self.within(self._start, self._size, self.layout)

    @property
    def file(self) -> BinaryIO:
        """What the places of elements are places in: the file, or what a deflated data set holds."""
        return self._file

    @property
    def start(self) -> int:
        return self._start

    @property
    def size(self) -> int:
        """Where the file ends."""
        return self._size

    def places(self) -> Iterator[tuple[int, Element, int]]:
        """Every element of the top level, lengths of groups too, between where its header begins and where it ends."""
        return self.places_within(self._start, self._size, self.layout)

    def places_within(self, at: int, end: int, layout: Layout) -> Iterator[tuple[int, Element, int]]:
        """As `places`, of one item."""
        while end - at >= 8:
            element, after = self._element(at, end, layout, 0)
            if element is None:
                return
            yield at, element, after
            at = after

    def within(self, at: int, end: int, layout: Layout) -> Iterator[Element]:
        """The elements of one item."""
        while end - at >= 8:
            element, after = self._element(at, end, layout, 0)
            if element is None:
                return
            at = after
            if element.tag & 0xFFFF:
                yield element

    def items(self, sequence: Element) -> Iterator[tuple[int, int]]:
        """Where the items of a sequence, or the fragments of encapsulated pixel data, begin and end."""
        at, end = sequence.at, sequence.at + sequence.length
        while end - at >= 8:
            tag, length = self._item_header(at, sequence.layout.order)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _unexpected()
            at += 8
            if length == _UNDEFINED:
                after = self._after_item(at, end, sequence.layout, 1)
                yield at, after - 8
                at = after
            else:
                if at + length > end:
                    raise _unexpected()
                yield at, at + length
                at += length

    def value(self, element: Element, most: int | None = None) -> bytes:
        """The raw value, or no more than so many bytes of it."""
        return self.read(element.at, element.length if most is None else min(element.length, most))

    def read(self, at: int, size: int) -> bytes:
        self._file.seek(at)
        return self._file.read(size)

    def _element(self, at: int, end: int, layout: Layout, depth: int) -> tuple[Element | None, int]:
        """The element at a place, and where the next begins; none where only padding follows."""
        self._seen += 1
        if self._seen > ELEMENTS_LIMIT:
            raise ParseError("the data set has too many elements", code="dicom-unparsable")
        head = self.read(at, 12)
        if len(head) < 8 or head[:8] == bytes(8):
            return None, end
        tag, vr, length, size = _header(head, layout)
        at += size
        inside = layout
        if length != _UNDEFINED:
            if at + length > end:
                raise _unexpected()
            if vr == "UN" and not layout.implicit and (vr := _known(tag)) != "UN":
                inside = _UNKNOWN
            return Element(tag, vr, at, length, False, inside), at + length
        if vr == "UN":
            inside, vr = _UNKNOWN, "SQ"
        if tag == PIXEL_DATA and end == self._size:
            return Element(tag, vr, at, end - at, True, inside), end  # its items are for those who ask for frames
        if tag != PIXEL_DATA:
            vr = "SQ"
        after = self._after_sequence(at, end, inside, depth + 1)
        return Element(tag, vr, at, after - at - 8, True, inside), after

    def _after_sequence(self, at: int, end: int, layout: Layout, depth: int) -> int:
        """Where a sequence of undefined length ends, its delimiter included; each is walked through only once."""
        if (known := self._ends.get(at)) is not None:
            return known
        if depth > DEPTH_LIMIT:
            raise ParseError("sequences are nested too deeply", code="dicom-unparsable")
        start = at
        while end - at >= 8:
            self._seen += 1
            tag, length = self._item_header(at, layout.order)
            at += 8
            if tag == _SEQUENCE_END:
                self._ends[start] = at
                return at
            if tag != _ITEM:
                raise _unexpected()
            at = self._after_item(at, end, layout, depth) if length == _UNDEFINED else at + length
        raise _unexpected()

    def _after_item(self, at: int, end: int, layout: Layout, depth: int) -> int:
        if (known := self._ends.get(at)) is not None:
            return known
        start = at
        while end - at >= 8:
            if self._item_header(at, layout.order)[0] == _ITEM_END:
                self._ends[start] = at + 8
                return at + 8
            element, at = self._element(at, end, layout, depth)
            if element is None:
                break
        raise _unexpected()

    def _item_header(self, at: int, order: str) -> tuple[int, int]:
        head = self.read(at, 8)
        if len(head) < 8:
            raise _unexpected()
        group, element, length = struct.unpack(f"{order}HHI", head)
        return group << 16 | element, length


def _header(head: bytes, layout: Layout) -> tuple[int, str, int, int]:
    """Tag, VR, length and size of a header, read as the reception reads it (`pacs_gateway.elements`)."""
    group, element = struct.unpack_from(f"{layout.order}HH", head)
    tag = group << 16 | element
    vr = head[4:6]
    if layout.implicit or group == _DELIMITERS or not (vr.isalpha() and vr.isupper()):
        return tag, _known(tag), struct.unpack_from(f"{layout.order}I", head, 4)[0], 8
    if vr in _SHORT:
        return tag, vr.decode("ascii"), struct.unpack_from(f"{layout.order}H", head, 6)[0], 8
    if len(head) < 12:
        raise _unexpected()
    return tag, vr.decode("ascii"), struct.unpack_from(f"{layout.order}I", head, 8)[0], 12


def _known(tag: int) -> str:
    """The VR of an element that does not say it; UN for a private one."""
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    from pydicom.datadict import dictionary_VR  # loads 60 MB of decoders with it: only where a VR is not said

    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    return _FROM_DICTIONARY.get(vr, vr)


def _inflated(file: BinaryIO, start: int) -> BinaryIO:
    """What a deflated data set holds (PS3.5 §A.5), in a file that goes away with the last reference to it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    target = tempfile.SpooledTemporaryFile(_INFLATED_IN_MEMORY_BYTES)  # noqa: SIM115 it is what is returned
    file.seek(start)
    rest = file.read(_PIECE_BYTES)
    try:
        while rest and not inflater.eof:
            target.write(inflater.decompress(rest, _PIECE_BYTES))
            rest = inflater.unconsumed_tail or file.read(_PIECE_BYTES)
            if target.tell() > INFLATED_LIMIT_BYTES:
                raise ParseError("the deflated data set is larger than allowed", code="dicom-unparsable")
        target.write(inflater.flush())
    except zlib.error as error:
        raise ParseError("the deflated data set does not inflate", code="dicom-unparsable") from error
    return cast(BinaryIO, target)


def _unexpected() -> ParseError:
    return ParseError("a sequence of the data set is not as it says", code="dicom-unparsable")
