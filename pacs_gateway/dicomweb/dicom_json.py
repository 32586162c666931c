"""How does a data set read as JSON? The DICOM JSON Model of PS3.18 annex F, its text repaired and in UTF-8.

Numbers keep the digits that were written; what is long, or holds pixels, is named by an address instead of a value.
What breaks a rule of its VR is told as the text that it is.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from json.encoder import encode_basestring

from engine.codecs import text
from engine.errors import ParseError
from pacs_gateway.charset import decode
from pacs_gateway.dicomweb.data_set import DEPTH_LIMIT, PIXEL_DATA, DataSet, Element, Layout

INLINE_LIMIT_BYTES = 1024
"""A longer binary value is fetched from its address by those who want it."""
TEXT_LIMIT_BYTES = 64 * 1024
DOCUMENT_LIMIT_BYTES = 32 * 1024 * 1024
"""Of one object. A structured report of thousands of measurements has some megabytes."""

UTF_8 = b'{"vr":"CS","Value":["ISO_IR 192"]}'
_CHARACTER_SET = 0x00080005
_AVAILABLE_TRANSFER_SYNTAX = 0x00083002
_PIXEL_REPRESENTATION = 0x00280103
_PIXELS = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_BINARY = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
_ONE_VALUE = frozenset({"LT", "ST", "UT", "UR"})
_REPERTOIRE = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs whose characters Specific Character Set says (PS3.5 §6.1.2.3)."""
_NUMBER_TEXTS = frozenset({"DS", "IS", "US"})
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_WRITTEN_NUMBER = re.compile(r"([+-]?)0*(\d*)(?:\.(\d*))?([eE][+-]?\d+)?")
_US_OR_SS = frozenset(
    {0x00189810, 0x00221452, 0x00280104, 0x00280105, 0x00280106, 0x00280107, 0x00280108, 0x00280109, 0x00280110}
    | {0x00280111, 0x00280120, 0x00280121, 0x00281101, 0x00281102, 0x00281103, 0x00283002, 0x00409211, 0x00409216}
    | {0x00603004, 0x00603006}
)
"""Elements that are signed where the pixels are, which implicit VR does not say."""

Address = Callable[[str], str]
"""The address of a value from its path: `7FE00010`, `54000100/0/54001010`."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A value whose characters are told when the character set of the whole is known."""

    vr: str
    raw: bytes


@dataclass(slots=True)
class _Level:
    """The elements of an item by their tag."""

    members: dict[int, bytes | _Text | list[_Level]] = field(default_factory=dict)


def written(data_set: DataSet, transfer_syntax: str, declared: str, charset: str, address: Address) -> bytes:
    """One data set as a JSON object, in ascending order of tags.

    declared  Specific Character Set as written, and `charset` the codec that its identifying texts were read with
    Raises ParseError for what cannot be walked, and for a document above its limit.
    """
    writer = _Writer(data_set, address)
    top = writer.level(data_set.top(), "", 0)
    top.members[_CHARACTER_SET] = UTF_8
    top.members[_AVAILABLE_TRANSFER_SYNTAX] = _member("UI", [json.dumps(transfer_syntax)])
    return _joined(top, _reader(declared, charset, list(_texts(top))))


class _Writer:
    def __init__(self, data_set: DataSet, address: Address) -> None:
        self._data_set = data_set
        self._address = address
        self._signed = False
        self._size = 0

    def level(self, elements: Iterator[Element], path: str, depth: int) -> _Level:
        if depth > DEPTH_LIMIT:
            raise ParseError("sequences are nested too deeply", code="dicom-unparsable")
        level = _Level()
        for element in elements:
            if element.tag not in level.members and element.tag != _CHARACTER_SET:
                told = self._told(element, path, depth)
                level.members[element.tag] = told
                self._count(told)
        return level

    def _count(self, told: bytes | _Text | list[_Level]) -> None:
        self._size += 24 + len(told.raw if isinstance(told, _Text) else told)
        if self._size > DOCUMENT_LIMIT_BYTES:
            raise ParseError("the data set is too large to be told as JSON", code="dicom-unparsable")

    def _told(self, element: Element, path: str, depth: int) -> bytes | _Text | list[_Level]:
        vr, here = element.vr, f"{path}{element.tag:08X}"
        if element.tag == _PIXEL_REPRESENTATION:
            self._signed = any(self._data_set.value(element, 2))
        if vr == "SQ":
            return [
                self.level(self._data_set.within(at, end, element.layout), f"{here}/{number}/", depth + 1)
                for number, (at, end) in enumerate(self._data_set.items(element))
            ]
        if element.tag in _PIXELS and not path:
            return _bulk(vr, self._address(here))
        if not element.length:
            return _member(vr, [])
        if element.length > (INLINE_LIMIT_BYTES if vr in _BINARY else TEXT_LIMIT_BYTES):
            return _bulk(vr, self._address(here))
        raw = self._data_set.value(element)
        if vr in _BINARY:
            return b'{"vr":"%b","InlineBinary":"%b"}' % (vr.encode(), base64.b64encode(_little(vr, raw, element)))
        if element.layout.implicit and element.tag in _US_OR_SS and self._signed and vr == "US":
            vr = "SS"
        if vr in _NUMBERS:
            return _numbers(vr, raw, element.layout)
        if vr == "AT":
            return _tags(raw, element.layout)
        return _Text(vr, raw)


def _little(vr: str, raw: bytes, element: Element) -> bytes:
    """InlineBinary is little endian (PS3.18 §F.2.7)."""
    unit = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}.get(vr, 1)
    if element.layout.order == "<" or unit == 1 or len(raw) % unit:
        return raw
    return b"".join(raw[at : at + unit][::-1] for at in range(0, len(raw), unit))


def _numbers(vr: str, raw: bytes, layout: Layout) -> bytes:
    code = _NUMBERS[vr]
    count = len(raw) // struct.calcsize(f"={code}")
    values = struct.unpack_from(f"{layout.order}{count}{code}", raw)
    return _member(vr, [_finite(value) for value in values])


def _finite(value: int | float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else ('"Infinity"' if value > 0 else '"-Infinity"')


def _tags(raw: bytes, layout: Layout) -> bytes:
    halves = struct.unpack_from(f"{layout.order}{len(raw) // 4 * 2}H", raw)
    return _member(
        "AT", [f'"{group:04X}{element:04X}"' for group, element in zip(halves[::2], halves[1::2], strict=True)]
    )


def _bulk(vr: str, address: str) -> bytes:
    return f'{{"vr":"{vr}","BulkDataURI":{json.dumps(address)}}}'.encode()


def _member(vr: str, values: list[str]) -> bytes:
    if not values:
        return f'{{"vr":"{vr}"}}'.encode()
    return f'{{"vr":"{vr}","Value":[{",".join(values)}]}}'.encode()


def _texts(level: _Level) -> Iterator[bytes]:
    for member in level.members.values():
        if isinstance(member, _Text):
            if member.vr in _REPERTOIRE and not member.raw.isascii():
                yield member.raw
        elif isinstance(member, list):
            for item in member:
                yield from _texts(item)


def _reader(declared: str, charset: str, raws: list[bytes]) -> Callable[[bytes], str]:
    """Reads one value in the character set that all of the texts together bear out."""
    label = declared.encode("ascii", "replace")
    used = charset
    if raws:
        used = decode(label, {str(number): raw for number, raw in enumerate(raws)}).charset.used

    def read(raw: bytes) -> str:
        if b"\x1b" not in raw:
            try:
                return raw.decode(used)
            except (UnicodeDecodeError, LookupError):
                pass
        return text.decode(raw, declared or None).text

    return read


def _joined(level: _Level, read: Callable[[bytes], str]) -> bytes:
    members = []
    for tag in sorted(level.members):
        member = level.members[tag]
        if isinstance(member, _Text):
            member = _of_text(member, read)
        elif isinstance(member, list):
            items = b",".join(_joined(item, read) for item in member)
            member = b'{"vr":"SQ","Value":[%b]}' % items if items else b'{"vr":"SQ"}'
        members.append(b'"%08X":%b' % (tag, member))
    return b"{%b}" % b",".join(members)


def _of_text(member: _Text, read: Callable[[bytes], str]) -> bytes:
    raw = member.raw.rstrip(b"\0")
    return of_text(member.vr, read(raw) if member.vr in _REPERTOIRE else raw.decode("ascii", "replace"))


def of_text(vr: str, whole: str) -> bytes:
    """An element whose value is written as text, several values with backslashes between."""
    values = [whole.rstrip(" ")] if vr in _ONE_VALUE else [value.strip(" ") for value in whole.split("\\")]
    if not any(values):
        return _member(vr, [])
    return _member(vr, [_value(vr, value) for value in values])


def _value(vr: str, value: str) -> str:
    if not value:
        return "null"
    if vr == "PN":
        return _person_name(value)
    if vr in _NUMBER_TEXTS and (number := _number(value)):
        return number
    return encode_basestring(value.rstrip("\0"))


def _person_name(value: str) -> str:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("="), strict=False)
    return "{" + ",".join(f'"{name}":{encode_basestring(group)}' for name, group in groups if group) + "}"


def _number(value: str) -> str:
    """A number as JSON writes it, with the digits it was written with; empty for what is no number."""
    if _JSON_NUMBER.fullmatch(value):
        return value
    match = _WRITTEN_NUMBER.fullmatch(value)
    if match is None or not any(character.isdigit() for character in value.partition("e")[0].partition("E")[0]):
        return ""
    sign, whole, fraction, exponent = match.groups()
    return f"{'-' if sign == '-' else ''}{whole or '0'}{f'.{fraction}' if fraction else ''}{exponent or ''}"
