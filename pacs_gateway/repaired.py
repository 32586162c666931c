"""How is an object served whose label of characters was wrong? In Unicode, written anew on the way out.

The object keeps its bytes. Whoever opens it gets its text as UTF-8 under the label ISO_IR 192, in sequences too,
between stretches of the file as it lies there. Private elements stay: nobody knows whether they hold text.
"""

from __future__ import annotations

import logging
import struct
from typing import BinaryIO

from engine.codecs import text
from engine.errors import ParseError
from pacs_gateway.charset import UNICODE, decode
from pacs_gateway.dicomweb.data_set import DEPTH_LIMIT, DataSet, Element, Layout
from pacs_gateway.dicomweb.file_head import LIMIT_BYTES, FileHeadReader
from pacs_gateway.part10 import data_set_offset
from pacs_gateway.restated import Part, deflated, joined
from pacs_gateway.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN

_CHARACTER_SET = 0x00080005
_REPERTOIRE = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs whose characters Specific Character Set says (PS3.5 §6.1.2.3)."""
_LONG = frozenset({"SQ", "UC", "UT"})
_TEXT_LIMIT_BYTES = 1024 * 1024
"""Of a value that is written anew; one that is longer is a document, and stays."""
_LONGEST_SHORT = 0xFFFE
_ITEM = 0xFFFEE000

_log = logging.getLogger(__name__)


def repaired(file: BinaryIO, codec: str) -> BinaryIO:
    """A file of PS3.10 whose text is what this codec makes of its bytes, in Unicode. Blocking.

    Takes the file over: it is closed with what is returned. What cannot be walked through is returned as it is: served
    with the label that it came with rather than not at all.
    """
    try:
        return _Writer(file, codec).file()
    except (ParseError, struct.error) as error:
        _log.warning("an object is served with the text that it came with: %s", type(error).__name__)
        file.seek(0)
        return file
    except BaseException:
        file.close()
        raise


class _Writer:
    def __init__(self, file: BinaryIO, codec: str) -> None:
        self._file = file
        self._codec = codec
        file.seek(0)
        beginning = file.read(LIMIT_BYTES)
        reader = FileHeadReader()
        reader.receive(memoryview(beginning))
        if reader.head is None:
            raise ParseError("the file has no data set", code="dicom-unparsable")
        self._meta = beginning[: data_set_offset(beginning)]
        self._deflates = reader.head.transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
        self._data_set = DataSet(file, reader.head.transfer_syntax)

    def file(self) -> BinaryIO:
        data_set = self._data_set
        parts = self._level(data_set.start, data_set.size, data_set.layout, self._codec, 0)
        if not self._deflates:
            return joined(self._file, [self._meta, *parts])
        with self._file:
            return deflated(self._meta, joined(data_set.file, parts))

    def _level(self, at: int, end: int, layout: Layout, codec: str, depth: int) -> list[Part]:
        """The elements of the data set, or of an item; one that changes nothing is one stretch.

        Lengths of groups, which are retired, go where something else does.
        """
        if depth > DEPTH_LIMIT:
            raise ParseError("sequences are nested too deeply", code="dicom-unparsable")
        parts: list[Part] = []
        group_lengths: list[tuple[int, int]] = []
        kept_from, labelled = at, depth > 0
        for start, element, after in self._data_set.places_within(at, end, layout):
            if not element.tag & 0xFFFF:
                group_lengths.append((start, after))
                continue
            new: list[Part] = []
            if not labelled and element.tag >= _CHARACTER_SET:
                new, labelled = [_label(layout)], True
            stays = element.tag != _CHARACTER_SET
            changed = self._changed(element, layout, codec, depth) if stays else None
            if depth and not stays:
                changed = [_label(layout)]  # whoever asked for this item has found its own label to be wrong
            if not new and changed is None:
                continue
            parts += [(kept_from, start - kept_from), *new, *(changed or ())]
            kept_from = start if stays and changed is None else after
        if not labelled:
            parts += [(kept_from, end - kept_from), _label(layout)]
            kept_from = end
        parts.append((kept_from, end - kept_from))
        if len(parts) > 1:
            parts = _without(parts, group_lengths)
        return [part for part in parts if isinstance(part, bytes) or part[1]]

    def _changed(self, element: Element, layout: Layout, codec: str, depth: int) -> list[Part] | None:
        """What stands in an element's place; None where it stays."""
        if element.tag >> 16 & 1:
            return None
        if element.vr == "SQ":
            return self._sequence(element, layout, codec, depth)
        if element.vr not in _REPERTOIRE or not 0 < element.length <= _TEXT_LIMIT_BYTES:
            return None
        raw = self._data_set.value(element)
        if raw.isascii() and b"\x1b" not in raw:
            return None
        encoded = _read(raw, codec).encode()
        encoded += b" " * (len(encoded) % 2)
        if len(encoded) > _LONGEST_SHORT and not layout.implicit and element.vr not in _LONG:
            raise ParseError("a text is too long in Unicode", code="dicom-unparsable")
        return [_header(element.tag, element.vr, len(encoded), layout) + encoded]

    def _sequence(self, element: Element, layout: Layout, codec: str, depth: int) -> list[Part] | None:
        if element.layout.implicit and not layout.implicit:
            return None  # a UN, whose items are in another encoding than its header would say
        items = [
            (begin, finish, self._item(begin, finish, element.layout, codec, depth + 1))
            for begin, finish in self._data_set.items(element)
        ]
        if all(parts == [(begin, finish - begin)] or not parts for begin, finish, parts in items):
            return None
        inside: list[Part] = []
        for _, _, parts in items:
            inside += [struct.pack(f"{layout.order}HHI", _ITEM >> 16, _ITEM & 0xFFFF, _length(parts)), *parts]
        return [_header(element.tag, "SQ", _length(inside), layout), *inside]

    def _item(self, begin: int, finish: int, layout: Layout, codec: str, depth: int) -> list[Part]:
        """An item; one that has a label of its own is repaired by that, or stays where that is right."""
        own: bytes | None = None
        texts: dict[str, bytes] = {}
        for element in self._data_set.within(begin, finish, layout):
            if element.tag == _CHARACTER_SET:
                own = self._data_set.value(element, 256)
            elif element.vr in _REPERTOIRE and not element.tag >> 16 & 1 and element.length <= _TEXT_LIMIT_BYTES:
                texts[f"{element.tag:08X}"] = self._data_set.value(element)
        if own is not None and own.strip(b" \0"):
            found = decode(own, texts).charset
            if not found.repair:
                return [(begin, finish - begin)]
            codec = found.used
        return self._level(begin, finish, layout, codec, depth)


def _read(raw: bytes, codec: str) -> str:
    if b"\x1b" not in raw:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            pass
    return text.decode(raw, codec).text


def _label(layout: Layout) -> bytes:
    return _header(_CHARACTER_SET, "CS", len(UNICODE), layout) + UNICODE.encode()


def _header(tag: int, vr: str, length: int, layout: Layout) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    if layout.implicit:
        return struct.pack(f"{layout.order}HHI", group, element, length)
    if vr in _LONG:
        return struct.pack(f"{layout.order}HH2sHI", group, element, vr.encode(), 0, length)
    return struct.pack(f"{layout.order}HH2sH", group, element, vr.encode(), length)


def _length(parts: list[Part]) -> int:
    return sum(len(part) if isinstance(part, bytes) else part[1] for part in parts)


def _without(parts: list[Part], stretches: list[tuple[int, int]]) -> list[Part]:
    """Parts with some stretches of the file, from byte to byte, cut out of them."""
    for begin, finish in stretches:
        cut: list[Part] = []
        for part in parts:
            if isinstance(part, bytes) or finish <= part[0] or part[0] + part[1] <= begin:
                cut.append(part)
            else:
                cut += [(part[0], begin - part[0]), (finish, part[0] + part[1] - finish)]
        parts = cut
    return parts
