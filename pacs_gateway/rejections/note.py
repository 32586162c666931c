"""What is a rejection note? A Key Object Selection whose title says why what it names is not to be used any more.

Titles of IHE RAD, Imaging Object Change Management; the document is PS3.3 A.35.4 with template TID 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from engine.clock import CHINA
from engine.errors import ParseError
from engine.store.statements import derived_uid
from pacs_gateway.query.identifier import UNREADABLE

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
TITLES: Mapping[str, str] = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}
SHOWN = "113001"
"""Of its notes those for quality stay to be seen; the others go with what they reject."""
NAMED_LIMIT = 100_000
"""Instances of one note; a study of more is none."""
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""What is taken into the store (`pacs_gateway.identify`)."""
_AS_KNOWN = {
    "PatientName": "patient_name",
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer",
    "PatientBirthDate": "birth_date",
    "PatientSex": "sex",
    "StudyDate": "study_date",
    "StudyTime": "study_time",
    "AccessionNumber": "accession",
    "StudyID": "study_id",
}
_WAVEFORMS = "1.2.840.10008.5.1.4.1.1.9."
_DOCUMENTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.", "1.2.840.10008.5.1.4.1.1.11.")


@dataclass(frozen=True, slots=True)
class Rejected:
    """One instance, by the UIDs that those who are told know it by."""

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a note says: the code of its title, and what it rejects."""

    code: str
    rejected: tuple[Rejected, ...]


def note_in(data_set: Dataset) -> Note | None:
    """None where a key object selection rejects nothing.

    Raises ParseError `note-unreadable` for a rejection whose evidence cannot be read, or names too much.
    """
    try:
        code = _title(data_set)
        if code not in TITLES:
            return None
        return Note(code, tuple(_first(_named(data_set), NAMED_LIMIT)))
    except UNREADABLE as error:
        raise ParseError("the rejection note cannot be read", code="note-unreadable") from error


def encoded(
    *, sop_uid: str, study_uid: str, attributes: Mapping[str, str], note: Note, sender: str, at: datetime
) -> bytes:
    """The data set of a note, Explicit VR Little Endian; the same for the same arguments.

    attributes  of patient and study as those know them who are told, by names of the index
    """
    told = Dataset()
    told.SpecificCharacterSet = "ISO_IR 192"
    told.SOPClassUID, told.SOPInstanceUID = KEY_OBJECT_SELECTION, sop_uid
    _put(told, "StudyInstanceUID", study_uid)
    told.SeriesInstanceUID = derived_uid("series of note", sop_uid)
    told.Modality, told.SeriesNumber, told.InstanceNumber = "KO", 1, 1
    told.Manufacturer, told.StationName = "hutong", sender[:16]
    local = at.astimezone(CHINA)
    told.SeriesDate = told.ContentDate = f"{local:%Y%m%d}"
    told.SeriesTime = told.ContentTime = f"{local:%H%M%S}"
    for keyword, name in _AS_KNOWN.items():
        _put(told, keyword, attributes.get(name, ""))
    told.ReferringPhysicianName = ""
    told.ReferencedPerformedProcedureStepSequence = Items()
    told.ValueType, told.ContinuityOfContent = "CONTAINER", "SEPARATE"
    told.ConceptNameCodeSequence = Items([_code(note.code, TITLES[note.code])])
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "2010"
    told.ContentTemplateSequence = Items([template])
    told.CurrentRequestedProcedureEvidenceSequence = Items(_evidence(note.rejected))
    told.ContentSequence = Items(_content(one) for one in note.rejected)
    target = BytesIO()
    dcmwrite(target, told, implicit_vr=False, little_endian=True)
    return target.getvalue()


def transfer_syntax() -> str:
    return str(ExplicitVRLittleEndian)


def _title(data_set: Dataset) -> str:
    names = data_set.get("ConceptNameCodeSequence") or ()
    return next((str(n.get("CodeValue", "")).strip() for n in names if n.get("CodingSchemeDesignator") == "DCM"), "")


def _named(data_set: Dataset) -> Iterator[Rejected]:
    for study in data_set.get("CurrentRequestedProcedureEvidenceSequence") or ():
        for series in study.get("ReferencedSeriesSequence") or ():
            for one in series.get("ReferencedSOPSequence") or ():
                yield Rejected(
                    _uid(study, "StudyInstanceUID"),
                    _uid(series, "SeriesInstanceUID"),
                    _uid(one, "ReferencedSOPInstanceUID"),
                    _uid(one, "ReferencedSOPClassUID"),
                )


def _uid(item: Dataset, keyword: str) -> str:
    """Empty for what is none: nothing is stored under that."""
    uid = str(item.get(keyword, "")).strip()
    return uid if _UID.fullmatch(uid) else ""


def _first(named: Iterable[Rejected], most: int) -> Iterator[Rejected]:
    for number, one in enumerate(named):
        if number >= most:
            raise ParseError("the rejection note names more than any study holds", code="note-unreadable")
        yield one


def _evidence(rejected: Sequence[Rejected]) -> list[Dataset]:
    by_study: dict[str, dict[str, list[Dataset]]] = {}
    for one in rejected:
        by_study.setdefault(one.study_uid, {}).setdefault(one.series_uid, []).append(_reference(one))
    studies = []
    for study_uid, by_series in by_study.items():
        study = Dataset()
        _put(study, "StudyInstanceUID", study_uid)
        study.ReferencedSeriesSequence = Items()
        for series_uid, references in by_series.items():
            series = Dataset()
            _put(series, "SeriesInstanceUID", series_uid)
            series.ReferencedSOPSequence = Items(references)
            study.ReferencedSeriesSequence.append(series)
        studies.append(study)
    return studies


def _content(one: Rejected) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    if one.sop_class.startswith(_WAVEFORMS):
        item.ValueType = "WAVEFORM"
    else:
        item.ValueType = "COMPOSITE" if one.sop_class.startswith(_DOCUMENTS) else "IMAGE"
    item.ReferencedSOPSequence = Items([_reference(one)])
    return item


def _reference(one: Rejected) -> Dataset:
    reference = Dataset()
    _put(reference, "ReferencedSOPClassUID", one.sop_class)
    _put(reference, "ReferencedSOPInstanceUID", one.sop_uid)
    return reference


def _put(item: Dataset, keyword: str, value: str) -> None:
    """As those know it who are told, whether the standard allows it or not."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    item.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
    return code
