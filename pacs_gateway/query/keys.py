"""What does a query ask? An identifier to what the index searches, and what only the objects can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from engine.store.imaging_query import ATTRIBUTES, LEVELS, ImagingQuery, Level, Range
from pacs_gateway.identify import TEXTS
from pacs_gateway.query.identifier import malformed
from pacs_gateway.query.models import UNIQUE_KEYS
from pacs_gateway.query.values import VALUE_LIMIT, date_range, date_time_range, tags_of, texts_of, time_range


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


INDEXED: Mapping[int, str] = {_tag(TEXTS[name]): name for name in ATTRIBUTES}
"""Attributes of the index by their tag."""
LEVEL_OF: Mapping[int, Level] = {
    **{tag: ATTRIBUTES[name] for tag, name in INDEXED.items()},
    **{_tag(keyword): level for level, keyword in UNIQUE_KEYS.items()},
    _tag("SOPClassUID"): Level.IMAGE,
    _tag("ModalitiesInStudy"): Level.STUDY,
    _tag("NumberOfPatientRelatedStudies"): Level.PATIENT,
    _tag("NumberOfPatientRelatedSeries"): Level.PATIENT,
    _tag("NumberOfPatientRelatedInstances"): Level.PATIENT,
    _tag("NumberOfStudyRelatedSeries"): Level.STUDY,
    _tag("NumberOfStudyRelatedInstances"): Level.STUDY,
    _tag("NumberOfSeriesRelatedInstances"): Level.SERIES,
}
"""Of everything that is known without looking into an object."""
NEVER_MATCHED = frozenset(
    map(
        _tag,
        (
            "SpecificCharacterSet",
            "TimezoneOffsetFromUTC",
            "QueryRetrieveLevel",
            "QueryRetrieveView",
            "RetrieveAETitle",
            "InstanceAvailability",
            "StorageMediaFileSetID",
            "StorageMediaFileSetUID",
        ),
    )
)
_UIDS = {
    _tag("StudyInstanceUID"): "study_uids",
    _tag("SeriesInstanceUID"): "series_uids",
    _tag("SOPInstanceUID"): "sop_uids",
    _tag("SOPClassUID"): "sop_classes",
}
_PATIENT_NAME, _STUDY_DATE, _STUDY_TIME = _tag("PatientName"), _tag("StudyDate"), _tag("StudyTime")
_MODALITIES = frozenset((_tag("Modality"), _tag("ModalitiesInStudy")))
_RANGES = {_tag("PatientBirthDate"): date_range, _tag("AcquisitionDateTime"): date_time_range}
"""Other dates and times of the index, and how they are read."""
_REFERRING = _tag("ReferringPhysicianName")
"""Indexed, but matched as a name, which the index does for the patient's only."""
NOT_SUPPORTED = frozenset(
    map(
        _tag,
        (
            "SOPClassesInStudy",
            "AnatomicRegionsInStudyCodeSequence",
            "AlternateRepresentationSequence",
            "AvailableTransferSyntaxUID",
            "StudyUpdateDateTime",
        ),
    )
)
"""Keys that no object has and that we do not make: like private ones they match everything (PS3.4 C.2.2.1.3)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query of the index, and the keys that what it finds must then match as well."""

    query: ImagingQuery
    rest: Dataset


def asked_by(identifier: Dataset, level: Level, facility: str | None) -> Asked:
    """Raises ParseError `query-malformed`. A key of a level below is not matched (PS3.4 C.4.1.2.1)."""
    written = texts_of(identifier)
    values: dict[str, Any] = {}
    texts: dict[str, tuple[str, ...]] = {}
    ranges: dict[str, Range] = {}
    rest = Dataset()
    for tag in tags_of(identifier):
        if not _is_supported(tag) or _is_below(tag, level):
            continue
        value = written.get(tag, "")
        if tag in _UIDS:
            values[_UIDS[tag]] = tuple(uid for part in value.split("\\") if (uid := part.strip()) and uid != "*")
            continue
        if len(value) > VALUE_LIMIT:
            raise malformed("a key is too long")
        if tag in _MODALITIES:
            values["modalities"] = values.get("modalities") or _patterns(value)
        elif tag == _PATIENT_NAME:
            values["patient_name"] = value
        elif tag == _STUDY_DATE:
            values["dates"] = date_range(value)
        elif tag == _STUDY_TIME:
            values["times"] = time_range(value)
        elif tag in _RANGES:
            ranges[INDEXED[tag]] = _RANGES[tag](value)
        elif tag in INDEXED and not (tag == _REFERRING and value.strip("*")):
            texts[INDEXED[tag]] = _patterns(value)
        elif tag not in LEVEL_OF or tag in INDEXED:
            _add_rest(rest, identifier, tag, value)
    return Asked(ImagingQuery(level, facility, texts=texts, ranges=ranges, **values), rest)


def retrieved_by(identifier: Dataset, level: Level, facility: str | None) -> ImagingQuery:
    """The instances that a C-GET or C-MOVE names: unique keys alone count (PS3.4 C.4.2.1.4).

    Raises ParseError `query-malformed` where the key of the level names none.
    """
    written = texts_of(identifier)
    texts: dict[str, tuple[str, ...]] = {}
    values: dict[str, Any] = {}
    for above in LEVELS[: LEVELS.index(level) + 1]:
        tag = _tag(UNIQUE_KEYS[above])
        named = tuple(uid for part in written.get(tag, "").split("\\") if (uid := part.strip()))
        if above is level and not named:
            raise malformed(f"{UNIQUE_KEYS[level]} names nothing")
        if not named:
            continue
        if above is not Level.PATIENT:
            values[_UIDS[tag]] = named
        elif any(set("*?") & set(one) for one in named):
            raise malformed("PatientID is no single value")
        else:
            texts["patient_id"] = named
    return ImagingQuery(Level.IMAGE, facility, texts=texts, **values)


def _is_supported(tag: int) -> bool:
    return not (tag in NEVER_MATCHED or tag in NOT_SUPPORTED or tag & 0xFFFF == 0 or tag >> 16 & 1)


def _is_below(tag: int, level: Level) -> bool:
    """The modality of a study is taken for what the study has: many clients ask so."""
    if tag in _MODALITIES:
        return level is Level.PATIENT
    return tag in LEVEL_OF and LEVELS.index(LEVEL_OF[tag]) > LEVELS.index(level)


def _patterns(value: str) -> tuple[str, ...]:
    return tuple(pattern for part in value.split("\\") if (pattern := part.strip()))


def _add_rest(rest: Dataset, identifier: Dataset, tag: int, value: str) -> None:
    element = identifier[tag]
    if element.VR == "SQ" or value.strip("*"):
        rest.add(element)
