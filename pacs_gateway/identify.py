"""What is this object, and whose? Its identifying attributes, read from the bytes as they were sent."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from engine.errors import ParseError
from engine.finding import Finding
from pacs_gateway.charset import Charset, decode
from pacs_gateway.elements import top_level

_UIDS = {
    "sop_class": "SOPClassUID",
    "sop_uid": "SOPInstanceUID",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
}
_TEXTS = {
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
}
_CHARACTER_SET = "SpecificCharacterSet"


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


_TAGS = {keyword: _tag(keyword) for keyword in (*_UIDS.values(), *_TEXTS.values(), _CHARACTER_SET)}
_WANTED = frozenset(_TAGS.values())

_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""More than the standard allows, because some devices write letters; still safe as the name of a folder."""
_INTEGER = re.compile(r"[+-]?\d{1,9}")
_TEXT_LIMIT = 1024
"""Longer than any of these attributes may be: what is beyond stays in the object, not in the index."""


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


def identify(data: bytes, transfer_syntax: str) -> Identity:
    """Reads the identity of an encoded data set.

    Raises ParseError: `dicom-truncated` and `dicom-unparsable` for bytes that are no whole data set, `uid-missing`
    and `uid-malformed` for one that does not say which instance of which study it is.
    """
    raw = top_level(data, transfer_syntax, _WANTED)
    uids = {name: _uid(raw.get(_TAGS[keyword], b""), keyword) for name, keyword in _UIDS.items()}
    decoded = decode(
        raw.get(_TAGS[_CHARACTER_SET], b""),
        {name: value for name, keyword in _TEXTS.items() if (value := raw.get(_TAGS[keyword], b"")[:_TEXT_LIMIT])},
    )
    tags = {name: value for name, value in decoded.texts.items() if value}
    return Identity(
        **uids,
        modality=tags.get("modality", ""),
        number=_integer(tags.get("number", "")),
        tags=tags,
        charset=decoded.charset,
        findings=decoded.findings,
    )


def _uid(raw: bytes, keyword: str) -> str:
    uid = raw.strip(b" \0").decode("ascii", "replace")
    if not uid:
        raise ParseError(f"the data set has no {keyword}", code="uid-missing", location=keyword)
    if not _UID.fullmatch(uid):
        raise ParseError(f"{keyword} is no UID", code="uid-malformed", location=keyword)
    return uid


def _integer(value: str) -> int | None:
    return int(value) if _INTEGER.fullmatch(value.strip()) else None
