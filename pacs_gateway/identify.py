"""What is this object, and whose? Its identifying attributes, read from the bytes as they were sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import tag_for_keyword

from engine.errors import ParseError
from engine.finding import Finding
from pacs_gateway.charset import Charset, decode
from pacs_gateway.elements import Walk, walk_of
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN

_UIDS = {
    "sop_class": "SOPClassUID",
    "sop_uid": "SOPInstanceUID",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
}
TEXTS = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "age": "PatientAge",
    "accession": "AccessionNumber",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "description": "StudyDescription",
    "referring": "ReferringPhysicianName",
    "institution": "InstitutionName",
    "station_name": "StationName",
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "modality": "Modality",
    "series_description": "SeriesDescription",
    "series_number": "SeriesNumber",
    "body_part": "BodyPartExamined",
    "number": "InstanceNumber",
    "frames": "NumberOfFrames",
    "acquired_at": "AcquisitionDateTime",
    "performed_date": "PerformedProcedureStepStartDate",
    "performed_time": "PerformedProcedureStepStartTime",
}
"""What is indexed of an object, by its name in the index: the keyword of the standard."""
NUMBERS = {"rows": "Rows", "columns": "Columns", "bits_allocated": "BitsAllocated"}
"""Likewise, of what is written as unsigned numbers of 16 bits."""
_WITNESSES = (
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "InstitutionalDepartmentName",
    "InstitutionAddress",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "OtherPatientNames",
    "PatientAddress",
    "PatientComments",
    "AdditionalPatientHistory",
    "ImageComments",
)
"""Texts that are read only to tell which characters the data set holds."""
_CHARACTER_SET = "SpecificCharacterSet"


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


_TAGS = {
    keyword: _tag(keyword)
    for keyword in (*_UIDS.values(), *TEXTS.values(), *NUMBERS.values(), *_WITNESSES, _CHARACTER_SET)
}
_WANTED = frozenset(_TAGS.values())

_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""More than the standard allows, because some devices write letters; still safe as the name of a folder."""
_INTEGER = re.compile(r"[+-]?\d{1,9}")
_TEXT_LIMIT = 1024
"""Longer than any of these attributes may be: what is beyond stays in the object, not in the index."""


@dataclass(frozen=True, slots=True)
class Uids:
    """Which instance of which study a data set says it is."""

    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True)
class Identity:
    """An object's identifying attributes; text is repaired, numbers that are none are absent.

    tags  every other text by its name in the index, empty ones left out
    """

    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    modality: str
    number: int | None
    tags: dict[str, str]
    charset: Charset
    findings: tuple[Finding, ...]


def identifying(transfer_syntax: str) -> Walk:
    """A walk over an encoded data set that finds what `uids_of` and `identity_of` read."""
    return walk_of(transfer_syntax, _WANTED)


def identify(data: bytes, transfer_syntax: str) -> Identity:
    """Reads the identity of an encoded data set at once. Raises as the walk and `uids_of` do."""
    walk = identifying(transfer_syntax)
    walk.feed(data)
    return identity_of(walk.end())


def uids_of(raw: Mapping[int, bytes]) -> Uids:
    """Raises ParseError `uid-missing` and `uid-malformed` when a data set does not say which instance it is."""
    return Uids(**{name: _uid(raw.get(_TAGS[keyword], b""), keyword) for name, keyword in _UIDS.items()})


def identity_of(raw: Mapping[int, bytes]) -> Identity:
    """Raises as `uids_of` does."""
    uids = uids_of(raw)
    values = {name: value for name, keyword in TEXTS.items() if (value := raw.get(_TAGS[keyword], b"")[:_TEXT_LIMIT])}
    for keyword in _WITNESSES:
        if (value := raw.get(_TAGS[keyword], b"")) and len(value) <= _TEXT_LIMIT:
            values[keyword] = value
    decoded = decode(raw.get(_TAGS[_CHARACTER_SET], b""), values)
    tags = {name: value for name, value in decoded.texts.items() if value and name in TEXTS}
    return Identity(
        sop_class=uids.sop_class,
        sop_uid=uids.sop_uid,
        study_uid=uids.study_uid,
        series_uid=uids.series_uid,
        modality=tags.get("modality", ""),
        number=_integer(tags.get("number", "")),
        tags=tags,
        charset=decoded.charset,
        findings=decoded.findings,
    )


def numbers_of(raw: Mapping[int, bytes], transfer_syntax: str) -> dict[str, str]:
    """The `NUMBERS` that an object says, by their names in the index; one that is none is left out."""
    order: Literal["big", "little"] = "big" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "little"
    found = {name: raw.get(_TAGS[keyword], b"") for name, keyword in NUMBERS.items()}
    return {name: str(int.from_bytes(value, order)) for name, value in found.items() if len(value) == 2}


def _uid(raw: bytes, keyword: str) -> str:
    uid = raw.strip(b" \0").decode("ascii", "replace")
    if not uid:
        raise ParseError(f"the data set has no {keyword}", code="uid-missing", location=keyword)
    if not _UID.fullmatch(uid):
        raise ParseError(f"{keyword} is no UID", code="uid-malformed", location=keyword)
    return uid


def _integer(value: str) -> int | None:
    return int(value) if _INTEGER.fullmatch(value.strip()) else None
