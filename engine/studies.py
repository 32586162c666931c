"""What does a study manifest say? The ImagingStudy it becomes, and whose examination it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from engine.clock import CHINA
from engine.errors import ParseError
from engine.finding import Finding, Severity
from engine.identifiers import DICOM_UID, facility_system, resource_id
from engine.store.worklist import Step

Resource = dict[str, Any]

MODALITY = "http://dicom.nema.org/resources/ontology/DCM"
MAPPING = "dicom-study@1"
_URI = "urn:ietf:rfc:3986"
_NUMBER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_DAY = re.compile(r"\d{8}", re.ASCII)
"""strptime alone would take 2026111 for a day of some month."""
_SEX = {"M": "male", "F": "female", "O": "other"}


class ManifestInstance(msgspec.Struct, frozen=True):
    sop_uid: str
    sop_class: str
    number: int | None = None
    frames: int | None = None


class ManifestSeries(msgspec.Struct, frozen=True):
    uid: str
    modality: str
    instances: list[ManifestInstance]
    number: int | None = None
    description: str = ""
    body_part: str = ""


class ManifestFinding(msgspec.Struct, frozen=True):
    code: str
    text: str
    severity: Severity = Severity.WARNING
    location: str | None = None


class _Written(msgspec.Struct, frozen=True):
    """The manifest as the gateway writes it; what it says of charset and transfer is kept in the journal only."""

    study_uid: str
    facility: str
    series: list[ManifestSeries]
    accession: str = ""
    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""
    study_time: str = ""
    description: str = ""
    modalities: list[str] = []
    findings: list[ManifestFinding] = []
    statements: int = 0
    age: str = ""
    body_part: str = ""
    referring: str = ""
    institution: str = ""
    station_name: str = ""
    manufacturer: str = ""
    model: str = ""
    ae_title: str = ""
    late: list[str] = []


@dataclass(frozen=True, slots=True)
class Manifest:
    """A study as it stands in the gateway: what its objects say of the patient, and what they are."""

    written: _Written
    mapping: str = MAPPING

    @property
    def study_uid(self) -> str:
        return self.written.study_uid

    @property
    def facility(self) -> str:
        return self.written.facility

    @property
    def accession(self) -> str:
        return self.written.accession

    @property
    def patient_id(self) -> str:
        return self.written.patient_id

    @property
    def issuer(self) -> str:
        return self.written.issuer

    @property
    def is_empty(self) -> bool:
        """Whether nothing is served of the study, because it was decided so or nothing of it is decided yet."""
        return not self.written.series

    @property
    def is_decided_on(self) -> bool:
        """Whether people, or a rejection note, said something of the study: then it is as it is told now."""
        return self.written.statements > 0

    @property
    def study_reference(self) -> str:
        return f"ImagingStudy/{study_id(self.facility, self.study_uid)}"

    @property
    def findings(self) -> tuple[Finding, ...]:
        told = tuple(Finding(f.code, f.text, f.severity, f.location) for f in self.written.findings)
        return (*told, _came_late(len(self.late))) if self.late else told

    @property
    def late(self) -> list[str]:
        """Instances that came after the study had counted as whole: who has read it has not seen them."""
        return self.written.late

    def disagreement(self, step: Step | None) -> Finding | None:
        """Why the study is not linked to this step of its facility and accession number; None when it may be.

        Facility, accession number and patient identifier must all agree; the issuer too where both sides name one.
        """
        if not self.accession:
            return _unlinked("study-without-accession", "The study has no accession number.", "(0008,0050)")
        if step is None:
            return _unlinked(
                "study-without-order", "No order of the facility has this accession number.", "(0008,0050)"
            )
        if not is_of(step, self.patient_id, self.written.issuer):
            return patient_conflict()
        return None

    def differs_in_name(self, step: Step) -> Finding | None:
        """A finding when neither the written nor the Latin name of the order is the name in the objects."""
        return differs_in_name(name_groups(self.written.patient_name), step)

    def differs_in_birth_date(self, step: Step) -> Finding | None:
        """A finding when order and objects name different dates of birth."""
        return differs_in_birth_date(_date(self.written.birth_date) or "", step)

    def doubts(self) -> set[str]:
        """What within the study itself a person should decide: codes of its findings."""
        return {finding.code for finding in self.written.findings} & DOUBTS


PATIENT_CONFLICT = "study-patient-conflict"
NAME_DIFFERS = "study-name-differs"
BIRTH_DATE_DIFFERS = "study-birth-date-differs"
DOUBTS = frozenset(
    {"accession-differs", "patient-id-differs", "patient-name-differs", "birth-date-differs", "sop-uid-conflict"}
)
"""Codes of findings of a manifest that people decide on in the reconcile queue."""
UNLINKED = ("study-without-accession", "study-without-order", PATIENT_CONFLICT)
"""Codes of the findings that say why a study is not linked; they come right when it is."""
DECIDED = DOUBTS | {*UNLINKED, NAME_DIFFERS, BIRTH_DATE_DIFFERS}
"""Codes of everything that people decide on in the reconcile queue."""
NO_ISSUER = "dicom"
"""Stands for the issuer of a patient identifier in objects that name none."""


def is_of(step: Step, patient_id: str, issuer: str) -> bool:
    """Whether a patient identifier is that of the step; the issuer counts where both sides name one."""
    return bool(patient_id) and patient_id == step.patient_id and (not issuer or step.issuer in ("", issuer))


def is_of_patient(step: Step, patient: Resource) -> bool:
    """`is_of` for the Patient that a recorded study is of."""
    prefix = facility_system(step.facility, "patient")
    return any(
        is_of(step, identifier.get("value", ""), "" if issuer == NO_ISSUER else issuer)
        for identifier in patient.get("identifier", ())
        if (system := identifier.get("system", "")).startswith(prefix)
        for issuer in [system.removeprefix(prefix).removeprefix(":")]
    )


def differs_in_name(names: Iterable[str], step: Step) -> Finding | None:
    """A finding when none of the names in the objects is the written or the Latin name of the order."""
    ordered = {_letters(step.patient_name), _letters(step.patient_name_latin)} - {""}
    named = {_letters(name) for name in names} - {""}
    if not named or not ordered or not named.isdisjoint(ordered):
        return None
    return Finding(
        NAME_DIFFERS,
        "Facility, accession and patient identifier agree with the order, but the name does not. Compare the two.",
        location="(0010,0010)",
    )


def differs_in_birth_date(born: str, step: Step) -> Finding | None:
    """A finding when order and objects name different dates of birth; part of a date is none."""
    if len(born) != 10 or step.birth_on is None or born == step.birth_on.isoformat():
        return None
    return Finding(
        BIRTH_DATE_DIFFERS,
        "Facility, accession and patient identifier agree with the order, but the date of birth does not. "
        "Compare the two.",
        location="(0010,0030)",
    )


def patient_conflict() -> Finding:
    return _unlinked(
        PATIENT_CONFLICT, "The order with this accession number is of another patient identifier.", "(0010,0020)"
    )


def read_manifest(payload: bytes) -> Manifest:
    """Raises ParseError when the payload is no manifest."""
    try:
        return Manifest(msgspec.json.decode(payload, type=_Written))
    except msgspec.MsgspecError as error:
        raise ParseError(f"no study manifest: {error}", code="manifest-unreadable") from error


def study_id(facility: str, study_uid: str) -> str:
    return resource_id("ImagingStudy", facility, study_uid)


def study_resources(manifest: Manifest) -> list[Resource]:
    """The ImagingStudy, and the Patient as the objects name him; linking to an order may give it another subject."""
    patient = _patient(manifest)
    return [patient, _imaging_study(manifest, patient["id"])] if patient else [_imaging_study(manifest, None)]


def linked(study: Resource, order: Resource) -> Resource:
    """The study as part of this order: it is of the order's patient."""
    return {**study, "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}], "subject": order["subject"]}


def _patient(manifest: Manifest) -> Resource | None:
    written = manifest.written
    if not written.patient_id:
        return None
    patient: Resource = {
        "resourceType": "Patient",
        "id": resource_id("Patient", written.facility, written.issuer or NO_ISSUER, written.patient_id),
        "identifier": [
            {
                "system": facility_system(written.facility, "patient", written.issuer or NO_ISSUER),
                "value": written.patient_id,
            }
        ],
    }
    if text := _written_name(written.patient_name):
        patient["name"] = [{"text": text}]
    if written.sex in _SEX:
        patient["gender"] = _SEX[written.sex]
    if born := _date(written.birth_date):
        patient["birthDate"] = born
    return patient


def _imaging_study(manifest: Manifest, patient: str | None) -> Resource:
    written = manifest.written
    identifiers: list[Resource] = [{"system": DICOM_UID, "value": f"urn:oid:{written.study_uid}"}]
    if written.accession:
        identifiers.append(
            {
                "type": {"coding": [{"system": _NUMBER_TYPES, "code": "ACSN"}]},
                "system": facility_system(written.facility, "accession"),
                "value": written.accession,
            }
        )
    study: Resource = {
        "resourceType": "ImagingStudy",
        "id": study_id(written.facility, written.study_uid),
        "identifier": identifiers,
        "status": "available",
        "subject": {"reference": f"Patient/{patient}"} if patient else {"display": "no patient identifier"},
        "numberOfSeries": len(written.series),
        "numberOfInstances": sum(len(series.instances) for series in written.series),
    }
    if manifest.is_empty:
        withdrawn = "entered-in-error" if manifest.is_decided_on else "registered"
        return {**study, "status": withdrawn, "series": None, "basedOn": None}
    # FHIR knows no empty arrays and no empty strings.
    if modalities := [_modality(modality) for modality in written.modalities if modality]:
        study["modality"] = modalities
    if written.series:
        study["series"] = [_series(series) for series in written.series]
    if started := _started(written.study_date, written.study_time):
        study["started"] = started
    if written.description:
        study["description"] = written.description
    return study


def _series(series: ManifestSeries) -> Resource:
    resource: Resource = {
        "uid": series.uid,
        "modality": _modality(series.modality),
        "numberOfInstances": len(series.instances),
    }
    if series.instances:
        resource["instance"] = [_instance(instance) for instance in series.instances]
    if series.number is not None and series.number >= 0:
        resource["number"] = series.number
    if series.description:
        resource["description"] = series.description
    if series.body_part:
        resource["bodySite"] = {"display": series.body_part}
    return resource


def _instance(instance: ManifestInstance) -> Resource:
    resource: Resource = {
        "uid": instance.sop_uid,
        "sopClass": {"system": _URI, "code": f"urn:oid:{instance.sop_class}"}
        if instance.sop_class
        else {"display": "unknown"},
    }
    if instance.number is not None and instance.number >= 0:
        resource["number"] = instance.number
    return resource


def _modality(code: str) -> Resource:
    """A series without (0008,0060) still needs a modality in FHIR."""
    return {"system": MODALITY, "code": code} if code else {"display": "unknown"}


def _unlinked(code: str, text: str, location: str) -> Finding:
    return Finding(code, f"{text} It is kept and not linked to an order.", location=location)


def _came_late(number: int) -> Finding:
    return Finding(
        "study-late",
        f"Instances came after the study had counted as whole: {number}. Whoever has read it before has not seen them.",
        Severity.INFORMATION,
    )


def name_groups(name: str) -> list[str]:
    """The component groups of a DICOM person name without their carets: `Zhang^San=张^三` gives two."""
    return [text for group in name.split("=") if (text := " ".join(group.replace("^", " ").split()))]


def _written_name(name: str) -> str:
    """The ideographic group, the second (PS3.5 §6.2.1.2), where there is one; else the first that says something."""
    groups = name.split("=")
    written = name_groups(groups[1]) if len(groups) > 1 else []
    return next(iter(written or name_groups(name)), "")


def _letters(name: str) -> str:
    """A name for comparing: groups, carets, blanks and case do not count."""
    return re.sub(r"[\s^=]", "", name).casefold()


def _date(text: str) -> str | None:
    """DICOM DA as a FHIR date; None when it is none."""
    if _DAY.fullmatch(text) is None:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=CHINA).date().isoformat()
    except ValueError:
        return None


def _started(day: str, time: str) -> str | None:
    """DICOM DA and TM, which carry no zone, as a FHIR dateTime in +08:00."""
    digits = re.match(r"\d{6}|\d{4}", time)
    if digits is None or _DAY.fullmatch(day) is None:
        return _date(day)
    try:
        return datetime.strptime(day + digits[0].ljust(6, "0"), "%Y%m%d%H%M%S").replace(tzinfo=CHINA).isoformat()
    except ValueError:
        return _date(day)
