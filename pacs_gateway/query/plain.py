"""How is an answer written whose attributes are all of the index? Straight to bytes, as `answers` and pydicom would.

Nearly all queries ask for such attributes alone, and a data set made element by element costs ten times as long. What
is in any way unusual, a value with a backslash or one that its VR cannot hold, is left to the longer way.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import partial

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from engine.store.imaging_search import LEVELS, Found, Level
from pacs_gateway.query.answers import ONLINE, TEXT_LIMITS, UNICODE
from pacs_gateway.query.keys import INDEXED, LEVEL_OF, NEVER_MATCHED
from pacs_gateway.query.models import UNIQUE_KEYS
from pacs_gateway.query.values import tags_of
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

_TEXT = frozenset({"LO", "SH", "PN"})
_SPACES = re.compile(r"^ | $")
_USUAL = {
    "AE": re.compile(r"[!-\[\]-~]{1,16}"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9_]{1,16}"),
    "DA": re.compile(r"\d{8}"),
    "DT": re.compile(r"\d{8}(\d{6}(\.\d{1,6})?)?"),
    "IS": re.compile(r"0|-?[1-9]\d{0,8}"),
    "TM": re.compile(r"\d{6}(\.\d{1,6})?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
}
"""Values that are written as they stand, whoever writes them."""

_Said = Callable[[Found], str]


class Unusual(Exception):
    """An answer that is to be written the longer way."""


def is_plain(identifier: Dataset, transfer_syntax: str) -> bool:
    """Whether answers to this identifier may be written here."""
    if transfer_syntax not in (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN):
        return False
    return all(tag in LEVEL_OF or tag in NEVER_MATCHED for tag in tags_of(identifier) if tag & 0xFFFF)


class PlainAnswers:
    """Writes the answers to one query for which `is_plain` holds."""

    def __init__(self, identifier: Dataset, level: Level, ae_title: str, transfer_syntax: str) -> None:
        always: dict[int, _Said] = {
            _tag("SpecificCharacterSet"): lambda _: UNICODE,
            _tag("QueryRetrieveLevel"): lambda _: str(level),
            _tag("RetrieveAETitle"): lambda _: ae_title,
            _tag("InstanceAvailability"): lambda _: ONLINE,
        }
        known = _known(level)
        unique = _tag(UNIQUE_KEYS[level])
        asked = {tag for tag in tags_of(identifier) if tag not in NEVER_MATCHED and tag & 0xFFFF}
        said = {**{tag: known.get(tag, _nothing) for tag in asked | {unique}}, **always}
        explicit = transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN
        self._elements = [(tag, *_head(tag, explicit=explicit), said[tag]) for tag in sorted(said)]
        self._size = struct.Struct("<H" if explicit else "<I")

    def write(self, found: Found) -> bytes:
        """The data set of one match. Raises Unusual."""
        written: list[bytes] = []
        for tag, head, vr, say in self._elements:
            value = _encoded(tag, vr, say(found))
            written += (head, self._size.pack(len(value)), value)
        return b"".join(written)


def _known(level: Level) -> dict[int, _Said]:
    """What is known of a match at a level, by tag."""
    said: dict[int, _Said] = {tag: partial(_attribute, name) for tag, name in INDEXED.items()}
    uids: dict[Level, _Said] = {
        Level.STUDY: lambda found: found.key.study_uid,
        Level.SERIES: lambda found: found.key.series_uid,
        Level.IMAGE: lambda found: found.key.sop_uid,
    }
    for above in LEVELS[1 : LEVELS.index(level) + 1]:
        said[_tag(UNIQUE_KEYS[above])] = uids[above]
    if level is Level.PATIENT:
        said[_tag("NumberOfPatientRelatedStudies")] = lambda found: str(found.studies)
        said[_tag("NumberOfPatientRelatedSeries")] = lambda found: str(found.series)
        said[_tag("NumberOfPatientRelatedInstances")] = lambda found: str(found.instances)
    elif level is Level.STUDY:
        said[_tag("ModalitiesInStudy")] = lambda found: "\\".join(found.modalities)
        said[_tag("NumberOfStudyRelatedSeries")] = lambda found: str(found.series)
        said[_tag("NumberOfStudyRelatedInstances")] = lambda found: str(found.instances)
    elif level is Level.SERIES:
        said[_tag("NumberOfSeriesRelatedInstances")] = lambda found: str(found.instances)
    else:
        said[_tag("SOPClassUID")] = lambda found: found.content.sop_class
    return said


def _encoded(tag: int, vr: str, value: str) -> bytes:
    if not value:
        return b""
    if vr in _TEXT:
        value = value[: TEXT_LIMITS.get(vr)]
        if "\\" in value or not value.isprintable() or _SPACES.search(value) or value.endswith("="):
            raise Unusual
        raw = value.encode()
    else:
        values = value.split("\\") if tag == _MODALITIES else [value]
        if value != UNICODE and not all(_USUAL[vr].fullmatch(one) for one in values):
            raise Unusual
        raw = value.encode("ascii", "strict")
    return raw + (b"\0" if vr == "UI" else b" ") if len(raw) % 2 else raw


def _head(tag: int, *, explicit: bool) -> tuple[bytes, str]:
    """What stands before the length (PS3.5 §7.1.2, §7.1.3): every VR here has a short one."""
    vr = dictionary_VR(tag)
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + (vr.encode() if explicit else b""), vr


def _attribute(name: str, found: Found) -> str:
    return found.attributes.get(name, "")


def _nothing(_: Found) -> str:
    return ""


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


_MODALITIES = _tag("ModalitiesInStudy")
