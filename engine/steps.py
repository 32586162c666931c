"""What does a modality say of a procedure step that it performs? The notice of it, and the Procedure it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.errors import ParseError
from engine.finding import Finding, Severity
from engine.identifiers import DICOM_UID, facility_system, resource_id
from engine.store.worklist import Step
from engine.studies import ManifestFinding, is_of

Resource = dict[str, Any]

MAPPING = "dicom-step@1"

IN_PROGRESS = "IN PROGRESS"
COMPLETED = "COMPLETED"
DISCONTINUED = "DISCONTINUED"
STATES = (IN_PROGRESS, COMPLETED, DISCONTINUED)
"""Performed Procedure Step Status (0040,0252)."""

_STATUS = {IN_PROGRESS: "in-progress", COMPLETED: "completed", DISCONTINUED: "stopped"}
_NO_ISSUER = "dicom"
UNLINKED = ("step-without-order", "step-numbers-disagree", "step-patient-conflict")
"""Codes of the findings that say why a step is not linked; they come right when it is."""
_SCHEMES = {"DCM": "http://dicom.nema.org/resources/ontology/DCM", "SCT": "http://snomed.info/sct"}


class Code(msgspec.Struct, frozen=True):
    """An item of a code sequence: code value, coding scheme designator, code meaning."""

    value: str
    scheme: str = ""
    meaning: str = ""


class Scheduled(msgspec.Struct, frozen=True):
    """An item of the Scheduled Step Attributes Sequence: what the worklist had handed out, or nothing."""

    study_uid: str
    accession: str = ""
    step_id: str = ""
    procedure_id: str = ""


class Series(msgspec.Struct, frozen=True):
    """instances  how many are named; their names are announced to whoever proves that a study is whole"""

    uid: str
    description: str = ""
    protocol: str = ""
    performer: str = ""
    instances: int = 0


class PerformedStep(msgspec.Struct, frozen=True):
    """All that was said of one step until now.

    orders          ids of the ServiceRequests whose scheduled steps it performs
    started, ended  FHIR dateTimes, empty when unknown
    reason          why it was discontinued
    findings        what a person should settle
    """

    uid: str
    facility: str
    state: str
    scheduled: list[Scheduled]
    orders: list[str] = []
    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    step_id: str = ""
    modality: str = ""
    station_ae: str = ""
    description: str = ""
    procedure: Code | None = None
    started: str = ""
    ended: str = ""
    reason: Code | None = None
    series: list[Series] = []
    findings: list[ManifestFinding] = []

    @property
    def reference(self) -> str:
        return f"Procedure/{resource_id('Procedure', self.facility, self.uid)}"

    @property
    def instances(self) -> int:
        return sum(series.instances for series in self.series)


def written(step: PerformedStep) -> bytes:
    """The notice, the same for the same step."""
    return msgspec.json.encode(step)


def read(payload: bytes | str) -> PerformedStep:
    """Raises ParseError when the payload is no notice."""
    try:
        return msgspec.json.decode(payload, type=PerformedStep)
    except msgspec.MsgspecError as error:
        raise ParseError(f"no performed step: {error}", code="step-unreadable") from error


def findings_of(step: PerformedStep) -> list[Finding]:
    """Each told once of a step, however often it is told of."""
    return [
        Finding(found.code, found.text, Severity(found.severity), found.location, once=step.uid)
        for found in step.findings
    ]


def procedure_of(step: PerformedStep) -> Resource:
    """The Procedure, of the patient whom the modality names; an order it is linked to gives it another subject."""
    procedure: Resource = {
        "resourceType": "Procedure",
        "id": step.reference.removeprefix("Procedure/"),
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{step.uid}"}],
        "status": _STATUS[step.state],
        "subject": _subject(step),
        "performedPeriod": {key: value for key, value in (("start", step.started), ("end", step.ended)) if value},
        "code": _concept(step, step.procedure, step.description or step.modality),
    }
    if step.state == DISCONTINUED:
        procedure["statusReason"] = reason_of(step)
    if not procedure["performedPeriod"]:
        del procedure["performedPeriod"]
    return procedure


def reason_of(step: PerformedStep) -> Resource:
    """Why it was discontinued, as a CodeableConcept."""
    return _concept(step, step.reason, "discontinued, without a reason")


def linked(step: PerformedStep, candidates: Sequence[Step]) -> PerformedStep:
    """The step with the orders it performs, of the facility's that its numbers name; and why no others.

    The patient identifier must agree, as for studies; the accession number decides, the Study Instance UID where the
    modality gives none.
    """
    orders: list[str] = []
    findings = [finding for finding in step.findings if finding.code not in UNLINKED]
    for scheduled in step.scheduled:
        found, problem = _performed_by(step, scheduled, candidates)
        if found is not None and found.service_request not in orders:
            orders.append(found.service_request)
        if problem is not None and problem not in findings:
            findings.append(problem)
    return msgspec.structs.replace(step, orders=orders, findings=findings)


def numbers_of(step: PerformedStep) -> tuple[list[str], list[str]]:
    """The accession numbers and Study Instance UIDs by which its orders are looked for."""
    accessions = {_accession(scheduled) for scheduled in step.scheduled} - {""}
    return sorted(accessions), sorted({scheduled.study_uid for scheduled in step.scheduled})


def _performed_by(
    step: PerformedStep, scheduled: Scheduled, candidates: Sequence[Step]
) -> tuple[Step | None, ManifestFinding | None]:
    accession = _accession(scheduled)
    by_number = next((one for one in candidates if accession and one.accession == accession), None)
    by_study = next((one for one in candidates if one.study_uid == scheduled.study_uid), None)
    found = by_number or by_study
    if (
        found is not None
        and by_study is not None
        and (by_study != found or scheduled.accession not in ("", found.accession))
    ):
        return None, _finding("step-numbers-disagree", "Accession number and Study Instance UID are not of one order; "
                              "it is linked to none.", "(0040,0270)")  # fmt: skip
    if found is None:
        severity = Severity.WARNING if accession else Severity.INFORMATION
        return None, _finding("step-without-order", "No order of the facility has these numbers; it was not scheduled "
                              "here.", "(0040,0270)", severity)  # fmt: skip
    if not is_of(found, step.patient_id, step.issuer):
        return None, _finding("step-patient-conflict", "The order with these numbers is of another patient "
                              "identifier; it stays on the worklist.", "(0010,0020)")  # fmt: skip
    return found, None


def _accession(scheduled: Scheduled) -> str:
    """The worklist gives the accession number as step and procedure identifier too."""
    return scheduled.accession or scheduled.step_id or scheduled.procedure_id


def awaited(step: PerformedStep) -> list[str]:
    """The numbers by which an order of it may come still; none once every part of it has its order."""
    if len(step.orders) >= len(step.scheduled):
        return []
    accessions, studies = numbers_of(step)
    return sorted({*accessions, *studies})


def _finding(code: str, text: str, location: str, severity: Severity = Severity.WARNING) -> ManifestFinding:
    return ManifestFinding(code, text, severity, location)


def _subject(step: PerformedStep) -> Resource:
    if not step.patient_id:
        return {"display": "no patient identifier"}
    system = facility_system(step.facility, "patient", step.issuer or _NO_ISSUER)
    return {"identifier": {"system": system, "value": step.patient_id}}


def _concept(step: PerformedStep, code: Code | None, text: str) -> Resource:
    if code is None or not code.value:
        return {"text": text or "unknown"}
    coding = {"code": code.value}
    if code.scheme:
        coding["system"] = _SCHEMES.get(code.scheme) or facility_system(step.facility, "code", code.scheme)
    if code.meaning:
        coding["display"] = code.meaning
    return {"coding": [coding], "text": code.meaning or text or code.value}
