"""What does a modality do? It asks for its worklist, examines, and stores what it made (MWL SCU, C-STORE SCU)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # its names are made at run time
    ModalityWorklistInformationFind,
    Verification,
)

from conformance.errors import ConformanceError, NoAnswerError, UnexpectedAnswerError
from conformance.simulators.dicom_address import SUCCESS, DicomAddress

_PENDING = (0xFF00, 0xFF01)


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """One entry of the worklist, as the modality's screen shows it (PS3.4 K.6)."""

    patient_name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    accession: str
    study_uid: str
    procedure_id: str
    procedure_text: str
    step_id: str
    modality: str
    referring: str
    placer: str
    charset: str

    @property
    def name_as_written(self) -> str:
        """The ideographic component group where there is one, else the alphabetic (PS3.5 §6.2.1), without carets."""
        alphabetic, _, others = self.patient_name.partition("=")
        return (others.partition("=")[0] or alphabetic).replace("^", "")


@dataclass(frozen=True, slots=True)
class Stored:
    """What was sent and accepted.

    pixels_sha256  of Pixel Data or of the waveforms as sent, so that it can be known again
    rows, columns  0 for what is no image
    """

    status: int
    sop_uid: str
    series_uid: str
    study_uid: str
    sop_class: str
    transfer_syntax: str
    content_sha256: str
    rows: int
    columns: int
    bytes: int


class Modality:
    """A modality of one AE title, with the character set its vendor gave it.

    Every method blocks; on an event loop call it in a thread. Each opens an association of its own.
    """

    def __init__(
        self, ae_title: str, hub: DicomAddress, *, station: str, charset: str, uids: Callable[[], UID]
    ) -> None:
        self._ae_title, self._hub, self._station, self._charset, self._uids = ae_title, hub, station, charset, uids

    def echo(self) -> None:
        """C-ECHO. Raises when the hub does not answer success."""
        with self._associated((Verification, None)) as association:
            _demand_success("C-ECHO", association.send_c_echo())

    def worklist(self, modality: str, *, on_date: str = "", patient_id: str = "") -> list[ScheduledStep]:
        """The steps scheduled for this station; `on_date` is YYYYMMDD, empty for any day."""
        query = self._worklist_query(modality, on_date, patient_id)
        steps = []
        with self._associated((ModalityWorklistInformationFind, None)) as association:
            for status, identifier in association.send_c_find(query, ModalityWorklistInformationFind):
                if "Status" not in status:
                    raise NoAnswerError("C-FIND: the hub went away")
                if status.Status in _PENDING and identifier is not None:
                    steps.append(_step(identifier))
                elif status.Status != SUCCESS:
                    raise UnexpectedAnswerError(f"C-FIND was answered 0x{status.Status:04X}")
        return steps

    def examine(self, step: ScheduledStep, source: Path, at: datetime) -> Dataset:
        """A new object of the scheduled study: the patient's data of the step on the picture of `source`.

        Pixels, waveforms and transfer syntax stay as they are in the file; every UID is new.
        """
        try:
            made = dcmread(source)
        except InvalidDicomError as error:
            raise ConformanceError(f"{source.name} is no DICOM file") from error
        made.SpecificCharacterSet = self._charset
        _forget_the_first_patient(made)
        made.PatientName, made.PatientID = step.patient_name, step.patient_id
        made.PatientBirthDate, made.PatientSex = step.birth_date, step.sex
        if step.issuer:
            made.IssuerOfPatientID = step.issuer
        made.AccessionNumber, made.StudyInstanceUID = step.accession, step.study_uid
        made.SeriesInstanceUID, made.SOPInstanceUID = self._uids(), self._uids()
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.StudyID, made.SeriesNumber, made.InstanceNumber = step.procedure_id[:16], 1, 1
        made.StudyDescription, made.ReferringPhysicianName = step.procedure_text, step.referring
        made.StationName, made.InstitutionName = self._ae_title, self._station
        made.StudyDate = made.SeriesDate = made.AcquisitionDate = made.ContentDate = f"{at:%Y%m%d}"
        made.StudyTime = made.SeriesTime = made.AcquisitionTime = made.ContentTime = f"{at:%H%M%S}"
        made.RequestAttributesSequence = Sequence([_request_attributes(step)])
        return made

    def store(self, made: Dataset) -> Stored:
        """C-STORE. Raises unless the hub answers 0000."""
        sop_class, syntax = UID(made.SOPClassUID), UID(made.file_meta.TransferSyntaxUID)
        with self._associated((sop_class, syntax)) as association:
            status = association.send_c_store(made)
        _demand_success("C-STORE", status)
        content = _content(made)
        return Stored(
            status=status.Status,
            sop_uid=str(made.SOPInstanceUID),
            series_uid=str(made.SeriesInstanceUID),
            study_uid=str(made.StudyInstanceUID),
            sop_class=sop_class.name,
            transfer_syntax=syntax.name,
            content_sha256=content_sha256(made),
            rows=int(made.get("Rows") or 0),
            columns=int(made.get("Columns") or 0),
            bytes=len(content),
        )

    @contextmanager
    def _associated(self, *wanted: tuple[UID, UID | None]) -> Iterator[Association]:
        entity = ApplicationEntity(self._ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
        contexts = [build_context(abstract, syntax) for abstract, syntax in wanted]
        association = entity.associate(self._hub.host, self._hub.port, contexts, ae_title=self._hub.ae_title)
        if not association.is_established:
            raise NoAnswerError(f"{self._hub.ae_title}@{self._hub.host}:{self._hub.port} accepted no association")
        try:
            if association.rejected_contexts:
                raise UnexpectedAnswerError(f"refused: {association.rejected_contexts[0].abstract_syntax}")
            yield association
        finally:
            association.release()

    def _worklist_query(self, modality: str, on_date: str, patient_id: str) -> Dataset:
        query = Dataset()
        query.SpecificCharacterSet = self._charset
        query.PatientName = query.PatientBirthDate = query.PatientSex = query.IssuerOfPatientID = ""
        query.PatientID = patient_id
        query.AccessionNumber = query.StudyInstanceUID = query.ReferringPhysicianName = ""
        query.RequestedProcedureID = query.RequestedProcedureDescription = ""
        query.PlacerOrderNumberImagingServiceRequest = ""
        step = Dataset()
        step.ScheduledStationAETitle = self._ae_title
        step.ScheduledProcedureStepStartDate = on_date
        step.ScheduledProcedureStepStartTime = ""
        step.Modality = modality
        step.ScheduledProcedureStepDescription = step.ScheduledProcedureStepID = ""
        query.ScheduledProcedureStepSequence = Sequence([step])
        return query


def content_sha256(dataset: Dataset) -> str:
    """The digest of what was recorded: Pixel Data, or the samples of every waveform."""
    return sha256(_content(dataset)).hexdigest()


def _content(dataset: Dataset) -> bytes:
    if "PixelData" in dataset:
        return bytes(dataset.PixelData)
    return b"".join(bytes(waveform.WaveformData) for waveform in dataset.get("WaveformSequence", ()))


def _forget_the_first_patient(made: Dataset) -> None:
    """Removes what belongs to the examination that the file was made in."""
    made.remove_private_tags()
    for keyword in (
        "OtherPatientIDs",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "PatientAddress",
        "AdmissionID",
        "CurrentPatientLocation",
        "PatientInstitutionResidence",
        "VisitComments",
        "ReasonForStudy",
        "RequestingPhysician",
        "NameOfPhysiciansReadingStudy",
        "OperatorsName",
        "InstitutionalDepartmentName",
        "ImageComments",
        "TimezoneOffsetFromUTC",
        "AcquisitionDateTime",
        "InstanceCreationDate",
        "InstanceCreationTime",
    ):
        if keyword in made:
            delattr(made, keyword)


def _request_attributes(step: ScheduledStep) -> Dataset:
    request = Dataset()
    request.RequestedProcedureID = step.procedure_id
    request.ScheduledProcedureStepID = step.step_id
    request.ScheduledProcedureStepDescription = step.procedure_text
    return request


def _step(identifier: Dataset) -> ScheduledStep:
    scheduled = identifier.get("ScheduledProcedureStepSequence") or [Dataset()]
    first = scheduled[0]
    return ScheduledStep(
        patient_name=_text(identifier, "PatientName"),
        patient_id=_text(identifier, "PatientID"),
        issuer=_text(identifier, "IssuerOfPatientID"),
        birth_date=_text(identifier, "PatientBirthDate"),
        sex=_text(identifier, "PatientSex"),
        accession=_text(identifier, "AccessionNumber"),
        study_uid=_text(identifier, "StudyInstanceUID"),
        procedure_id=_text(identifier, "RequestedProcedureID"),
        procedure_text=_text(identifier, "RequestedProcedureDescription"),
        step_id=_text(first, "ScheduledProcedureStepID"),
        modality=_text(first, "Modality"),
        referring=_text(identifier, "ReferringPhysicianName"),
        placer=_text(identifier, "PlacerOrderNumberImagingServiceRequest"),
        charset=_text(identifier, "SpecificCharacterSet"),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value)


def _demand_success(what: str, status: Dataset) -> None:
    if "Status" not in status:
        raise NoAnswerError(f"{what}: the hub gave no answer")
    if status.Status != SUCCESS:
        raise UnexpectedAnswerError(f"{what} was answered 0x{status.Status:04X}")
