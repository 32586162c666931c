"""How is an object served otherwise than it was sent? Its header is written anew on the way out; the rest is its file.

What people decided of a study stands in the index. The object keeps its bytes; whoever opens it gets the elements that
were decided, in their places, between stretches of the file as it lies there. Pixels are never read for it.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import BinaryIO, cast

from pydicom.datadict import dictionary_VR, tag_for_keyword

from engine.errors import ParseError, StorageError
from pacs_gateway.dicomweb.data_set import DataSet
from pacs_gateway.dicomweb.file_head import LIMIT_BYTES, FileHeadReader
from pacs_gateway.identify import TEXTS
from pacs_gateway.part10 import data_set_offset
from pacs_gateway.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

_KEYWORDS = {
    **TEXTS,
    "sop_uid": "SOPInstanceUID",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "character_set": "SpecificCharacterSet",
}
_META_SOP_UID = 0x00020003
_META_AT = 132
_GROUP_LENGTH_BYTES = 12
_LONG = frozenset(b"OB OW OF OD OL OV SQ UC UR UT UN SV UV".split())
_PIECE_BYTES = 256 * 1024
_IN_MEMORY_BYTES = 8 * 1024 * 1024

Part = bytes | tuple[int, int]
"""Bytes, or a stretch of the file: from byte, number of bytes."""


def restated(file: BinaryIO, changes: Mapping[str, str], charset: str) -> BinaryIO:
    """A file of PS3.10 that says these values, by names of the index; empty ones stand without a value. Blocking.

    charset  the codec of the object's text
    Takes the file over: it is closed with what is returned, or before an error. Raises StorageError for what is no
    file that was stored.
    """
    try:
        return _restated(file, changes, charset)
    except (ParseError, struct.error) as error:
        file.close()
        raise StorageError("an object in the store cannot be walked through", code="object-unreadable") from error
    except BaseException:
        file.close()
        raise


def _restated(file: BinaryIO, changes: Mapping[str, str], charset: str) -> BinaryIO:
    file.seek(0)
    beginning = file.read(LIMIT_BYTES)
    reader = FileHeadReader()
    reader.receive(memoryview(beginning))
    if reader.head is None:
        raise ParseError("the file has no data set", code="dicom-unparsable")
    syntax = reader.head.transfer_syntax
    meta = beginning[: data_set_offset(beginning)]
    if "sop_uid" in changes:
        meta = _meta_for(meta, changes["sop_uid"])
    data_set = DataSet(file, syntax)
    parts = _parts(data_set, {_tag(name): (name, value) for name, value in changes.items()}, charset)
    if syntax != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return joined(file, [meta, *parts])
    with file:
        return deflated(meta, joined(data_set.file, parts))


def _parts(data_set: DataSet, wanted: dict[int, tuple[str, str]], charset: str) -> list[Part]:
    """The data set with the wanted elements in their places, by ascending tags (PS3.5 §7.1).

    An element that stands twice is written once. Lengths of groups, which are retired, go where a group changes.
    """
    parts: list[Part] = []
    left = sorted(wanted)
    groups = {tag >> 16 for tag in wanted}
    kept_from = data_set.start
    last = max(wanted)
    for start, element, end in data_set.places():
        before = [tag for tag in left if tag < element.tag] if element.tag & 0xFFFF else []
        replaced = element.tag in wanted or (not element.tag & 0xFFFF and element.tag >> 16 in groups)
        if before or replaced:
            parts.append((kept_from, start - kept_from))
            parts += [_element(data_set, tag, *wanted[tag], charset) for tag in before]
            left = left[len(before) :]
            kept_from = start
        if replaced:
            if element.tag in left:
                parts.append(_element(data_set, element.tag, *wanted[element.tag], charset))
                left.remove(element.tag)
            kept_from = end
        if element.tag > last and not left:
            break
    if left:
        parts.append((kept_from, data_set.size - kept_from))
        parts += [_element(data_set, tag, *wanted[tag], charset) for tag in left]
    else:
        parts.append((kept_from, data_set.size - kept_from))
    return [part for part in parts if isinstance(part, bytes) or part[1]]


def _element(data_set: DataSet, tag: int, name: str, value: str, charset: str) -> bytes:
    vr = dictionary_VR(tag)
    encoded = _encoded(vr, value, charset)
    if len(encoded) % 2:
        encoded += b"\0" if vr == "UI" else b" "
    order, group, element = data_set.layout.order, tag >> 16, tag & 0xFFFF
    if data_set.layout.implicit:
        return struct.pack(f"{order}HHI", group, element, len(encoded)) + encoded
    return struct.pack(f"{order}HH2sH", group, element, vr.encode(), len(encoded)) + encoded


def _encoded(vr: str, value: str, charset: str) -> bytes:
    """The value in the charset of the object's other text.

    It holds it (`engine.store.statements.charset_after`), but for sets that switch to those of Japan and Korea. Of a
    name those groups are written then that it can hold, the Latin one; in any other text question marks stand for what
    it cannot: the index says it right.
    """
    try:
        return value.encode(charset or "ascii")
    except (UnicodeEncodeError, LookupError):
        if vr != "PN":
            return value.encode("ascii", "replace")
        latin = [group for group in value.split("=") if group and group.isascii()]
        return (latin[0] if latin else value.encode("ascii", "replace").decode()).encode()


def _meta_for(meta: bytes, sop_uid: str) -> bytes:
    """File meta information that names another SOP Instance UID; everything else of it stays."""
    at = _META_AT + _GROUP_LENGTH_BYTES
    elements: list[bytes] = []
    while at < len(meta):
        group, element, vr, short = struct.unpack_from("<HH2sH", meta, at)
        size, length = (12, struct.unpack_from("<I", meta, at + 8)[0]) if vr in _LONG else (8, short)
        whole = meta[at : at + size + length]
        if group << 16 | element == _META_SOP_UID:
            uid = sop_uid.encode("ascii")
            uid += b"\0" * (len(uid) % 2)
            whole = struct.pack("<HH2sH", group, element, b"UI", len(uid)) + uid
        elements.append(whole)
        at += size + length
    rest = b"".join(elements)
    return meta[:_META_AT] + struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(rest)) + rest


def _tag(name: str) -> int:
    tag = tag_for_keyword(_KEYWORDS[name])
    assert tag is not None, name
    return tag


def deflated(meta: bytes, data_set: BinaryIO) -> BinaryIO:
    """A file of meta information and a data set, deflated. Blocking; closes the data set."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    target = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 it is what is returned
    target.write(meta)
    with data_set:
        while piece := data_set.read(_PIECE_BYTES):
            target.write(deflater.compress(piece))
    target.write(deflater.flush())
    if target.tell() % 2:
        target.write(b"\0")  # a deflated data set has an even length too (PS3.5 §A.5)
    target.seek(0)
    return cast(BinaryIO, target)


def joined(file: BinaryIO, parts: Sequence[Part]) -> BinaryIO:
    """Parts one after another as one file, which closes the other one with it."""
    return cast(BinaryIO, io.BufferedReader(_Parts(file, parts), _PIECE_BYTES))


class _Parts(io.RawIOBase):
    """Parts one after another, as one file."""

    name = ""
    """Asked for by pydicom, of every file."""

    def __init__(self, file: BinaryIO, parts: Sequence[Part]) -> None:
        self._file = file
        self._parts = parts
        lengths = (len(part) if isinstance(part, bytes) else part[1] for part in parts)
        self._starts = [0, *accumulate(lengths)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer hides that it is one
        number = bisect_right(self._starts, self._at) - 1
        if number >= len(self._parts):
            return 0
        part, within = self._parts[number], self._at - self._starts[number]
        size = min(len(buffer), self._starts[number + 1] - self._at)
        if isinstance(part, bytes):
            piece = part[within : within + size]
        else:
            self._file.seek(part[0] + within)
            piece = self._file.read(size)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
