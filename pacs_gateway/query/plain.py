"""How is an answer written whose attributes are all of the index? Straight to bytes, as `answers` and pydicom would.

Nearly all queries ask for such attributes alone. What is in any way unusual, a value with a backslash or one that its
VR cannot hold, is left to the longer way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from engine.store.imaging_query import LEVELS, Found, Level
from pacs_gateway.query.answers import ONLINE, TEXT_LIMITS, UNICODE
from pacs_gateway.query.keys import INDEXED, LEVEL_OF, NEVER_MATCHED
from pacs_gateway.query.models import UNIQUE_KEYS
from pacs_gateway.query.usual import Unusual, code, header, is_text, padded, text
from pacs_gateway.query.values import tags_of
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

_Said = Callable[[Found], str]


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
        self._elements = [
            (tag, vr := dictionary_VR(tag), *header(tag, vr, explicit), said[tag]) for tag in sorted(said)
        ]

    def write(self, found: Found) -> bytes:
        """The data set of one match. Raises Unusual."""
        written: list[bytes] = []
        for tag, vr, head, size, say in self._elements:
            value = _encoded(tag, vr, say(found))
            written += (head, size.pack(len(value)), value)
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
    if is_text(vr):
        return text(vr, value[: TEXT_LIMITS.get(vr)], "utf-8")
    if value == UNICODE:
        return value.encode()
    if tag == _MODALITIES and "\\" in value:
        if not all(values := value.split("\\")):
            raise Unusual
        return padded(vr, b"\\".join(code(vr, one).rstrip(b" ") for one in values))
    return code(vr, value)


def _attribute(name: str, found: Found) -> str:
    return found.attributes.get(name, "")


def _nothing(_: Found) -> str:
    return ""


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


_MODALITIES = _tag("ModalitiesInStudy")
