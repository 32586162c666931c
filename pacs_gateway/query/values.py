"""What does an element of an identifier say? Texts and ranges, in the form that the index has them."""

from __future__ import annotations

import re
from collections.abc import Callable

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from engine.store.imaging_query import Range
from pacs_gateway.charset import decode
from pacs_gateway.query.identifier import UNREADABLE, malformed

VALUE_LIMIT = 1024
"""Characters of a pattern; UIDs may be more, as a list."""


_TEXT_VRS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_DATE = re.compile(r"\d{8}")
_DATE_TIME = re.compile(r"(\d{4}(?:\d{2}){0,5})(?:\.(\d{1,6}))?(?:\+\d{4})?")
_TIME = re.compile(r"(\d{2}(?:\d{2}){0,2})(?:\.\d{1,6})?")


def tags_of(dataset: Dataset) -> list[int]:
    """The tags of a data set in their order; to iterate over it would read its elements."""
    return sorted(map(int, dataset.keys()))


def texts_of(identifier: Dataset, inherited: bytes = b"") -> dict[int, str]:
    """The top-level values of an identifier as texts, by tag; those of a sequence or of bytes left out.

    inherited  the Specific Character Set of what the identifier is an item of (PS3.3 C.12.1.1.2)

    Text is read as it must have been meant: many clients send a name in GB18030 or UTF-8 and do not say so. Raises
    ParseError `query-malformed`.
    """
    declared = inherited
    raw: dict[str, bytes] = {}
    found: dict[int, str] = {}
    try:
        for tag in tags_of(identifier):
            element = identifier.get_item(tag)
            if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
                if tag == 0x00080005:
                    declared = element.value
                elif _is_foreign(element.value) and _vr(element) in _TEXT_VRS:
                    raw[str(tag)] = element.value
                    continue
            if (value := _plain(identifier, tag)) is not None:
                found[tag] = value
    except UNREADABLE as error:
        raise malformed() from error
    found |= {int(tag): text for tag, text in decode(declared, raw).texts.items()} if raw else {}
    for number, text in found.items():
        if not text.isprintable():
            raise malformed(f"({number >> 16:04X},{number & 0xFFFF:04X}) holds control characters")
    return found


def items_of(identifier: Dataset, keyword: str) -> list[dict[int, str]]:
    """The items of a sequence as `texts_of` reads them. Raises ParseError `query-malformed`."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    declared = identifier.get_item(0x00080005)
    if isinstance(declared, RawDataElement):
        inherited = declared.value or b""
    else:
        inherited = text_of(identifier, "SpecificCharacterSet").encode("ascii", "replace")
    try:
        items = identifier[tag].value if tag in identifier and identifier[tag].VR == "SQ" else ()
    except UNREADABLE as error:
        raise malformed() from error
    return [texts_of(item, inherited) for item in items or ()]


def text_of(identifier: Dataset, keyword: str) -> str:
    """One value as text, empty where it is absent. Raises ParseError `query-malformed`."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    try:
        return (_plain(identifier, tag) or "") if tag in identifier else ""
    except UNREADABLE as error:
        raise malformed() from error


def date_range(text: str) -> Range:
    """YYYYMMDD-YYYYMMDD, with either end open, or one date. Raises ParseError `query-malformed`."""
    return _range(text, _date, _date)


def time_range(text: str) -> Range:
    """HHMMSS, an hour or a minute meaning all of it. Raises ParseError `query-malformed`."""
    return _range(text, lambda part: _time(part, "000000"), lambda part: _time(part, "995959"))


def date_time_range(text: str) -> Range:
    """Two DT values, with either end open, or one; their offsets from UTC do not count.

    Raises ParseError `query-malformed`.
    """
    return _range(text, _date_time, _date_time)


def _is_foreign(value: bytes) -> bool:
    return not value.isascii() or b"\x1b" in value


def _vr(element: RawDataElement) -> str:
    return dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else element.VR or ""


def _plain(identifier: Dataset, tag: int) -> str | None:
    element = identifier[tag]
    value = element.value
    if element.VR == "SQ" or isinstance(value, bytes):
        return None
    if value is None:
        return ""
    if isinstance(value, MultiValue | list):
        return "\\".join(str(part).strip(" \0") for part in value)
    return str(value).strip(" \0")


def _range(text: str, first_of: Callable[[str], str], last_of: Callable[[str], str]) -> Range:
    text = text.strip()
    if not text.strip("*"):
        return Range()
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        last = first
    elif not first and not last:
        raise malformed("a range has no ends")
    return Range(first_of(first) if first else "", last_of(last) if last else "")


def _date(text: str) -> str:
    text = text.replace(".", "")
    if not _DATE.fullmatch(text):
        raise malformed("a date of the query is none")
    return text


def _date_time(text: str) -> str:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise malformed("a date and time of the query is none")
    return match.group(1) + (match.group(2) or "")


def _time(text: str, filling: str) -> str:
    match = _TIME.fullmatch(text.replace(":", ""))
    if match is None:
        raise malformed("a time of the query is none")
    return match.group(1) + filling[len(match.group(1)) :]
