"""What does a search ask? The query of a QIDO-RS address (PS3.18 §8.3.4, §10.6.1.2) as one of the index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from engine.errors import ParseError
from engine.store.imaging_query import ATTRIBUTES, LEVELS, ImagingQuery, Level, Range
from pacs_gateway.dicomweb.looking import Wanted
from pacs_gateway.query.values import date_range, date_time_range, time_range

MOST_RESULTS = 1000
"""Of one answer; who wants more asks for the next with `offset`."""
_FURTHEST = 100_000_000
_LONGEST_VALUE = 1024
_MOST_UIDS = 1000


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that is told, and can be asked for where the index searches it. `name` is that of the index."""

    tag: str
    keyword: str
    vr: str
    name: str


ATTRIBUTES_TOLD = (
    Attribute("00080020", "StudyDate", "DA", "study_date"),
    Attribute("00080030", "StudyTime", "TM", "study_time"),
    Attribute("0008002A", "AcquisitionDateTime", "DT", "acquired_at"),
    Attribute("00080050", "AccessionNumber", "SH", "accession"),
    Attribute("00080060", "Modality", "CS", "modality"),
    Attribute("00080070", "Manufacturer", "LO", "manufacturer"),
    Attribute("00080080", "InstitutionName", "LO", "institution"),
    Attribute("00080090", "ReferringPhysicianName", "PN", "referring"),
    Attribute("00081010", "StationName", "SH", "station_name"),
    Attribute("00081030", "StudyDescription", "LO", "description"),
    Attribute("0008103E", "SeriesDescription", "LO", "series_description"),
    Attribute("00081090", "ManufacturerModelName", "LO", "model"),
    Attribute("00100010", "PatientName", "PN", "patient_name"),
    Attribute("00100020", "PatientID", "LO", "patient_id"),
    Attribute("00100021", "IssuerOfPatientID", "LO", "issuer"),
    Attribute("00100030", "PatientBirthDate", "DA", "birth_date"),
    Attribute("00100040", "PatientSex", "CS", "sex"),
    Attribute("00101010", "PatientAge", "AS", "age"),
    Attribute("00180015", "BodyPartExamined", "CS", "body_part"),
    Attribute("00200010", "StudyID", "SH", "study_id"),
    Attribute("00200011", "SeriesNumber", "IS", "series_number"),
    Attribute("00200013", "InstanceNumber", "IS", "number"),
    Attribute("00280008", "NumberOfFrames", "IS", "frames"),
    Attribute("00280010", "Rows", "US", "rows"),
    Attribute("00280011", "Columns", "US", "columns"),
    Attribute("00280100", "BitsAllocated", "US", "bits_allocated"),
    Attribute("00400244", "PerformedProcedureStepStartDate", "DA", "performed_date"),
    Attribute("00400245", "PerformedProcedureStepStartTime", "TM", "performed_time"),
)
SEARCHED = tuple(one for one in ATTRIBUTES_TOLD if one.name in ATTRIBUTES)
_NAMED = {key.lower(): one for one in ATTRIBUTES_TOLD for key in (one.tag, one.keyword)}
_UIDS = {
    "0020000d": "study_uids",
    "studyinstanceuid": "study_uids",
    "0020000e": "series_uids",
    "seriesinstanceuid": "series_uids",
    "00080018": "sop_uids",
    "sopinstanceuid": "sop_uids",
    "00080016": "sop_classes",
    "sopclassuid": "sop_classes",
}
_LEVEL_OF_UIDS = {
    "study_uids": Level.STUDY,
    "series_uids": Level.SERIES,
    "sop_uids": Level.IMAGE,
    "sop_classes": Level.IMAGE,
}
_MODALITIES = frozenset({"00080061", "modalitiesinstudy", "00080060", "modality"})
_RANGES = {"DA": date_range, "TM": time_range, "DT": date_time_range}


@dataclass(frozen=True, slots=True)
class Asked:
    """A search and its page.

    named    the parameters that were given, without their values
    ignored  whether some of them say nothing to us, so that more is found than was asked for
    fields   names of the index that are told besides those that always are; everything when `everything` is set
    """

    query: ImagingQuery
    limit: int
    offset: int
    named: str
    ignored: bool = False
    everything: bool = False
    fields: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Reading:
    values: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    everything: bool = False
    ignored: bool = False
    fuzzy: bool = False
    limit: int = MOST_RESULTS
    offset: int = 0


def asked_by(address_query: str, level: Level, above: Wanted) -> Asked:
    """`above` is what the path names. Raises ParseError for a value that is none; unknown parameters are ignored."""
    reading = _Reading()
    pairs = parse_qsl(address_query, keep_blank_values=True, max_num_fields=200)
    for key, value in pairs:
        if len(value) > _LONGEST_VALUE * (64 if key.lower() in _UIDS else 1) or not value.isprintable():
            raise ParseError("a value of the query is too long or not printable", code="query-malformed")
        _take(reading, key.lower(), value.strip(), level)
    if reading.fuzzy and (name := reading.values.get("patient_name")) and not {"*", "?"} & set(name):
        reading.values["patient_name"] = f"{name}*"
    for name, uid in (("study_uids", above.study), ("series_uids", above.series)):
        if uid:
            asked = reading.values.get(name, (uid,))
            reading.values[name] = (uid,) if uid in asked else ("",)  # both must hold, and nothing has an empty UID
    return Asked(
        query=ImagingQuery(level, None, texts=reading.texts, ranges=reading.ranges, **reading.values),
        limit=min(reading.limit, MOST_RESULTS),
        offset=reading.offset,
        named=",".join(sorted({key for key, _ in pairs if key.isalnum()}))[:200],
        ignored=reading.ignored,
        everything=reading.everything,
        fields=frozenset(reading.fields),
    )


def _take(reading: _Reading, key: str, value: str, level: Level) -> None:
    if key == "limit":
        reading.limit = _number(value)
    elif key == "offset":
        reading.offset = _number(value)
    elif key == "fuzzymatching":
        reading.fuzzy = value.lower() == "true"
    elif key == "includefield":
        _include(reading, value)
    elif key == "accept":
        return
    elif not value:
        if (asked := _NAMED.get(key)) is not None:
            reading.fields.add(asked.name)
    elif key in _UIDS:
        _take_uids(reading, _UIDS[key], value, level)
    elif key in _MODALITIES:
        reading.values["modalities"] = _listed(value)
    elif (attribute := _NAMED.get(key)) is not None and _is_at(attribute.name, level):
        _match(reading, attribute, value)
    else:
        reading.ignored = True


def _match(reading: _Reading, attribute: Attribute, value: str) -> None:
    reading.fields.add(attribute.name)
    match attribute.name:
        case "patient_name":
            reading.values["patient_name"] = value
        case "study_date":
            reading.values["dates"] = date_range(value)
        case "study_time":
            reading.values["times"] = time_range(value)
        case name if attribute.vr in _RANGES:
            reading.ranges[name] = _RANGES[attribute.vr](value)
        case name:
            reading.texts[name] = (value,)


def _take_uids(reading: _Reading, name: str, value: str, level: Level) -> None:
    if LEVELS.index(_LEVEL_OF_UIDS[name]) > LEVELS.index(level):
        reading.ignored = True
        return
    uids = _listed(value)
    if len(uids) > _MOST_UIDS:
        raise ParseError("too many UIDs at once", code="query-malformed")
    reading.values[name] = uids


def _include(reading: _Reading, value: str) -> None:
    for name in _listed(value):
        if name.lower() == "all":
            reading.everything = True
        elif (attribute := _NAMED.get(name.lower())) is not None:
            reading.fields.add(attribute.name)


def _is_at(name: str, level: Level) -> bool:
    return name in ATTRIBUTES and LEVELS.index(ATTRIBUTES[name]) <= LEVELS.index(level)


def _listed(value: str) -> tuple[str, ...]:
    return tuple(part for word in value.split(",") for piece in word.split("\\") if (part := piece.strip()))


def _number(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= _FURTHEST):
        raise ParseError("limit and offset: expected a number from 0", code="query-malformed")
    return int(value)
