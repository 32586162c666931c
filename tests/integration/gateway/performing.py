"""How do the gateway's tests play a modality that says what it performs? MPPS of pynetdicom, a stranger to us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE
from pynetdicom.association import Association

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def scheduled(accession: str = "A0001", study_uid: str = "1.2.3.1") -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study_uid
    item.AccessionNumber = accession
    item.ScheduledProcedureStepID = accession
    item.RequestedProcedureID = accession
    item.ReferencedStudySequence = Items()
    item.RequestedProcedureDescription = ""
    item.ScheduledProcedureStepDescription = ""
    item.ScheduledProtocolCodeSequence = Items()
    return item


def begun(*steps: Dataset, **changes: Any) -> Dataset:
    """What an N-CREATE says."""
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 192"
    step.ScheduledStepAttributesSequence = Items(steps or [scheduled()])
    step.PatientName, step.PatientID, step.PatientSex = "ZHANG^ZHIHONG=张智宏", "P0001", "M"
    step.PatientBirthDate = "19700131"
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "DR_BAISHI"
    step.PerformedProcedureStepStartDate = "20260102"
    step.PerformedProcedureStepStartTime = "101500"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedProcedureStepDescription = "胸部正位"
    step.Modality = "DX"
    step.PerformedSeriesSequence = Items()
    for keyword, value in changes.items():
        if value is None:
            delattr(step, keyword)
        else:
            setattr(step, keyword, value)
    return step


def ended(status: str = "COMPLETED", objects: Sequence[str] = ("1.2.3.9.1", "1.2.3.9.2"), **changes: Any) -> Dataset:
    """What the last N-SET says."""
    step = Dataset()
    step.PerformedProcedureStepStatus = status
    step.PerformedProcedureStepEndDate = "20260102"
    step.PerformedProcedureStepEndTime = "101900"
    series = Dataset()
    series.SeriesInstanceUID = "1.2.3.9"
    series.ProtocolName = "CHEST PA"
    series.ReferencedImageSequence = Items(named(uid) for uid in objects)
    step.PerformedSeriesSequence = Items([series])
    for keyword, value in changes.items():
        setattr(step, keyword, value)
    return step


def named(sop_uid: str, sop_class: str = DX) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = sop_uid
    return item


def code(value: str, meaning: str) -> Items:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return Items([item])


@contextmanager
def modality(port: int, calling: str = "DR_BAISHI", *others: str) -> Iterator[Association]:
    """An association for MPPS and other classes. Blocking."""
    entity = AE(calling)
    for sop_class in (PERFORMED_STEP, *others):
        entity.add_requested_context(sop_class)
    association = entity.associate("127.0.0.1", port, ae_title="HUTONG")
    assert association.is_established
    try:
        yield association
    finally:
        association.release()


def create(port: int, step: Dataset, uid: str | None = "1.2.3.5", calling: str = "DR_BAISHI") -> Dataset:
    with modality(port, calling) as association:
        answer, _ = association.send_n_create(step, PERFORMED_STEP, uid)
    return answer


def change(port: int, step: Dataset, uid: str = "1.2.3.5", calling: str = "DR_BAISHI") -> Dataset:
    with modality(port, calling) as association:
        answer, _ = association.send_n_set(step, PERFORMED_STEP, uid)
    return answer
