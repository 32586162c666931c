"""How is the data set of an N-service read? Texts as they are written, UIDs and sequences checked one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from engine.errors import ParseError

_PADDING = b" \0"
UID = re.compile(r"[0-9][0-9.]{0,63}")
TEXT_LIMIT = 1024
"""Longer than any of these attributes may be."""
DEPTH_LIMIT = 16
"""Sequences within sequences; real ones have six. Far deeper ones cost pydicom gigabytes when they are written."""


def has(dataset: Dataset, keyword: str) -> bool:
    return keyword in dataset


def raw(dataset: Dataset, keyword: str) -> bytes:
    """The value as it came, empty where it is absent. Raises what `UNREADABLE` lists."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    if tag not in dataset:
        return b""
    value = dataset.get_item(tag).value
    if not isinstance(value, bytes):  # pydicom has read it already, or it is no text at all
        value = str(value or "").encode()
    return value[:TEXT_LIMIT]


def plain(dataset: Dataset, keyword: str) -> str:
    """A value that is ASCII whatever the character set: a code, a date, a UID."""
    return raw(dataset, keyword).strip(_PADDING).decode("ascii", "replace").replace("\0", " ")


def required(dataset: Dataset, keyword: str) -> str:
    """A type 1 value. Raises ParseError `attribute-missing` and `attribute-empty`."""
    if keyword not in dataset:
        raise ParseError(f"{keyword} is missing", code="attribute-missing", location=keyword)
    value = plain(dataset, keyword)
    if not value:
        raise ParseError(f"{keyword} is empty", code="attribute-empty", location=keyword)
    return value


def uid(dataset: Dataset, keyword: str) -> str:
    """A UID that must be there. Raises ParseError, `attribute-invalid` for what is none."""
    value = required(dataset, keyword)
    if not UID.fullmatch(value):
        raise ParseError(f"{keyword} is no UID", code="attribute-invalid", location=keyword)
    return value


def items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of a sequence; none where it is absent. Raises ParseError `attribute-invalid` for what is none."""
    found = dataset.get(keyword)
    if found is None:
        return
    if not hasattr(found, "__iter__") or isinstance(found, str | bytes):
        raise ParseError(f"{keyword} is no sequence", code="attribute-invalid", location=keyword)
    for item in found:
        if not isinstance(item, Dataset):
            raise ParseError(f"{keyword} is no sequence", code="attribute-invalid", location=keyword)
        yield item


def is_uid(value: str) -> bool:
    return UID.fullmatch(value) is not None


def check_depth(dataset: Dataset, left: int = DEPTH_LIMIT) -> None:
    """Raises ParseError `attribute-invalid` for a data set that is nested too deeply to be passed on."""
    for tag in dataset.keys():  # noqa: SIM118 - to iterate over the data set itself would decode its texts
        vr = dataset.get_item(tag).VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "")
        if vr != "SQ":
            continue
        if not left:
            raise ParseError("the data set is nested too deeply", code="attribute-invalid")
        for item in dataset[tag].value:
            check_depth(item, left - 1)
