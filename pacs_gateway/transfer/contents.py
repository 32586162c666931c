"""What is in a study that one hub sends to another? Its objects in their order, each with its length and its hash.

The bytes that go over the line are the data sets of those that the receiver needs, one behind the other: one stream,
whose length so far is all that either side has to know to go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import accumulate

import msgspec

from engine.errors import ParseError

OBJECTS_LIMIT = 50_000
"""The largest studies have some ten thousand."""
OBJECT_LIMIT_BYTES = 4 * 1024**3
STUDY_LIMIT_BYTES = 256 * 1024**3
WRITTEN_LIMIT_BYTES = 16 * 1024**2
"""Of it as JSON: 320 bytes for each of the most objects."""

_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""What is taken into the store (`pacs_gateway.identify`); it is a safe name of a file."""
_HASH = re.compile(r"[0-9a-f]{64}")


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One object. `size` and `sha256` are those of its data set."""

    sop_uid: str
    series_uid: str
    sop_class: str
    transfer_syntax: str
    size: int
    sha256: str


class Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A study, with what the sender has of it."""

    study_uid: str
    objects: list[Content]

    def written(self) -> bytes:
        return msgspec.json.encode(self)


def name_of(written: bytes) -> str:
    """What a transfer is called by both sides: the same study with the same objects has the same name."""
    return sha256(written).hexdigest()


def read(written: bytes) -> Contents:
    """Raises ParseError for what is none, or names or counts what cannot be."""
    try:
        contents = msgspec.json.decode(written, type=Contents)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _wrong("cannot be read") from error
    if not _UID.fullmatch(contents.study_uid) or not 1 <= len(contents.objects) <= OBJECTS_LIMIT:
        raise _wrong("names no study, or too many objects")
    for one in contents.objects:
        if not all(_UID.fullmatch(uid) for uid in (one.sop_uid, one.series_uid, one.sop_class, one.transfer_syntax)):
            raise _wrong("names an object that cannot be")
        if not 1 <= one.size <= OBJECT_LIMIT_BYTES or not _HASH.fullmatch(one.sha256):
            raise _wrong("names an object of an impossible length or hash")
    if len({one.sop_uid for one in contents.objects}) < len(contents.objects):
        raise _wrong("names an object twice")
    if sum(one.size for one in contents.objects) > STUDY_LIMIT_BYTES:
        raise _wrong("is of a study that is too large")
    return contents


def starts_of(objects: Sequence[Content], needed: Iterable[int]) -> list[int]:
    """Where each of the needed objects begins in the stream, and at last its length."""
    return list(accumulate((objects[index].size for index in needed), initial=0))


def _wrong(what: str) -> ParseError:
    return ParseError(f"the list of objects {what}", code="transfer-contents")
