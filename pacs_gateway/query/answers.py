"""What is answered to a query? One match as a data set: the attributes that were asked for, in ISO_IR 192."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.store.imaging_query import LEVELS, Found, Level
from pacs_gateway.query.identifier import UNREADABLE, encoded
from pacs_gateway.query.keys import INDEXED, LEVEL_OF, NEVER_MATCHED
from pacs_gateway.query.models import UNIQUE_KEYS
from pacs_gateway.query.values import tags_of

UNICODE = "ISO_IR 192"
ONLINE = "ONLINE"

_SEQUENCE = "SQ"
TEXT_LIMITS = {"SH": 16, "LO": 64, "CS": 16, "AS": 4, "AE": 16}


def unindexed(identifier: Dataset) -> list[int]:
    """What is asked for that only an object can tell."""
    return [
        tag
        for tag in tags_of(identifier)
        if tag not in LEVEL_OF and tag not in NEVER_MATCHED and tag & 0xFFFF and not tag >> 16 & 1
    ]


def known_of(found: Found, level: Level, head: Dataset) -> Dataset:
    """Everything that is known of a match; what the index says, with its text repaired, before what an object does."""
    known = Dataset()
    for tag in tags_of(head):
        if tag not in LEVEL_OF and tag not in NEVER_MATCHED:
            _add_from(known, head, tag)
    for tag, name in INDEXED.items():
        if (value := found.attributes.get(name)) is not None:
            _add(known, tag, value)
    key, content = found.key, found.content
    uids = {Level.STUDY: key.study_uid, Level.SERIES: key.series_uid, Level.IMAGE: key.sop_uid}
    for above in _down_to(level):
        if above is not Level.PATIENT:
            setattr(known, UNIQUE_KEYS[above], uids[above])
    if level is Level.PATIENT:
        known.NumberOfPatientRelatedStudies = found.studies
        known.NumberOfPatientRelatedSeries = found.series
        known.NumberOfPatientRelatedInstances = found.instances
    elif level is Level.STUDY:
        known.ModalitiesInStudy = list(found.modalities)
        known.NumberOfStudyRelatedSeries = found.series
        known.NumberOfStudyRelatedInstances = found.instances
    elif level is Level.SERIES:
        known.NumberOfSeriesRelatedInstances = found.instances
    else:
        known.SOPClassUID = content.sop_class
    return known


def answer_of(identifier: Dataset, known: Dataset, level: Level, ae_title: str) -> Dataset:
    """Every key comes back, empty where nothing is known; and where to get what was found (PS3.4 C.4.1.1.3.2)."""
    answer = _only_asked(identifier, known)
    answer.SpecificCharacterSet = UNICODE
    answer.QueryRetrieveLevel = str(level)
    answer.RetrieveAETitle = ae_title
    answer.InstanceAvailability = ONLINE
    unique = UNIQUE_KEYS[level]
    if unique in known and unique not in answer:
        setattr(answer, unique, known[unique].value)
    return answer


def writable(answer: Dataset, transfer_syntax: str) -> Dataset:
    """An answer without what cannot be written: an object may hold what its VR cannot."""
    written = Dataset()
    written.SpecificCharacterSet = UNICODE
    for tag in tags_of(answer):
        alone = Dataset()
        alone.SpecificCharacterSet = UNICODE
        try:
            alone.add(answer[tag])
            encoded(alone, transfer_syntax)
            written.add(answer[tag])
        except UNREADABLE:
            written.add(_empty(answer, tag))
    return written


def _only_asked(identifier: Dataset, known: Dataset) -> Dataset:
    asked = Dataset()
    for tag in tags_of(identifier):
        if tag not in NEVER_MATCHED and tag & 0xFFFF:
            asked.add(_told(identifier, known, tag))
    return asked


def _told(identifier: Dataset, known: Dataset, tag: int) -> DataElement:
    with suppress(*UNREADABLE):
        if tag in known:
            return _asked_of_sequence(identifier, known, tag)
    return _empty(identifier, tag)


def _asked_of_sequence(identifier: Dataset, known: Dataset, tag: int) -> DataElement:
    element = known[tag]
    if element.VR != _SEQUENCE or identifier[tag].VR != _SEQUENCE or not identifier[tag].value:
        return element
    item = identifier[tag].value[0]
    return DataElement(tag, _SEQUENCE, Items(_only_asked(item, one) for one in element.value)) if len(item) else element


def _empty(dataset: Dataset, tag: int) -> DataElement:
    vr = _vr(dataset, tag)
    return DataElement(tag, vr, Items() if vr == _SEQUENCE else None)


def _vr(identifier: Dataset, tag: int) -> str:
    """Of an attribute of the standard as the standard says: what the client took it for may be wrong."""
    return dictionary_VR(tag).split(" ")[0] if dictionary_has_tag(tag) else str(identifier[tag].VR)


def _down_to(level: Level) -> Iterable[Level]:
    return LEVELS[: LEVELS.index(level) + 1]


def _add(known: Dataset, tag: int, value: str) -> None:
    """A value that its VR cannot hold is left out, or cut to what it can."""
    vr = dictionary_VR(tag)
    try:
        if vr in TEXT_LIMITS and "\\" not in value:
            value = value[: TEXT_LIMITS[vr]]
        known.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    except UNREADABLE:
        return


def _add_from(known: Dataset, head: Dataset, tag: int) -> None:
    try:
        known.add(head[tag])
    except UNREADABLE:
        return
