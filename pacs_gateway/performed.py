"""What does an MPPS data set say? N-CREATE and N-SET data sets to the step they tell of (PS3.4 annex F)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from pydicom.dataset import Dataset

from engine.clock import CHINA
from engine.errors import ParseError
from engine.finding import Finding, Severity
from engine.steps import (
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    STATES,
    Code,
    PerformedStep,
    Scheduled,
    Series,
)
from engine.studies import ManifestFinding
from pacs_gateway.charset import decode
from pacs_gateway.normalized import check_depth, has, items, plain, raw, required, uid

_DAY = re.compile(r"\d{8}", re.ASCII)
_TIME = re.compile(r"\d{2}(\d{2}(\d{2})?)?(\.\d+)?", re.ASCII)
_REQUIRED = ("PerformedProcedureStepID", "PerformedStationAETitle", "PerformedProcedureStepStartDate",
             "PerformedProcedureStepStartTime", "Modality")  # fmt: skip
_TEXTS = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "patient_name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "step_id": "PerformedProcedureStepID",
    "modality": "Modality",
    "station_ae": "PerformedStationAETitle",
    "description": "PerformedProcedureStepDescription",
}
_SERIES_TEXTS = {
    "description": "SeriesDescription",
    "protocol": "ProtocolName",
    "performer": "PerformingPhysicianName",
}
_WRONG_ENTRY = "110514"
"""Incorrect worklist entry selected (PS3.16 CID 9300)."""
SERIES_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Referenced:
    """An object that a step says it made."""

    series_uid: str
    sop_uid: str
    sop_class: str


@dataclass(frozen=True, slots=True)
class Told:
    """A step, and the objects it says it made; None where they were not told of again."""

    step: PerformedStep
    referenced: tuple[Referenced, ...] | None


def created(dataset: Dataset, step_uid: str, facility: str) -> Told:
    """What an N-CREATE tells of. Raises ParseError: `attribute-missing`, `attribute-empty`, `attribute-invalid`."""
    check_depth(dataset)
    state = required(dataset, "PerformedProcedureStepStatus")
    if state != IN_PROGRESS:
        raise _invalid("PerformedProcedureStepStatus", "is not IN PROGRESS at creation")
    scheduled = [_scheduled(item) for item in items(dataset, "ScheduledStepAttributesSequence")]
    if not scheduled:
        code = "attribute-empty" if has(dataset, "ScheduledStepAttributesSequence") else "attribute-missing"
        raise ParseError("ScheduledStepAttributesSequence has no item", code=code)
    for keyword in _REQUIRED:
        required(dataset, keyword)
    _check_moment(dataset, "Start")
    step = PerformedStep(uid=step_uid, facility=facility, state=state, scheduled=scheduled)
    return _filled(step, dataset)


def changed(step: PerformedStep, dataset: Dataset) -> Told:
    """What the step is after an N-SET: what it leaves out stays, and what may not be set again is not.

    Raises ParseError as `created` does.
    """
    check_depth(dataset)
    state = step.state
    if has(dataset, "PerformedProcedureStepStatus"):
        state = required(dataset, "PerformedProcedureStepStatus")
        if state not in STATES:
            raise _invalid("PerformedProcedureStepStatus", "is none of the three")
    _check_moment(dataset, "End")
    named = plain(dataset, "PatientID")
    findings = [*step.findings]
    if named and step.patient_id and named != step.patient_id:
        findings.append(_finding("step-patient-changed", "A later message names another patient than the first.",
                                 "(0010,0020)"))  # fmt: skip
    kept = {name: getattr(step, name) for name in _TEXTS if name != "description"}
    told = _filled(msgspec.structs.replace(step, state=state, findings=findings), dataset)
    changed_step = msgspec.structs.replace(told.step, **kept, started=step.started)
    return Told(msgspec.structs.replace(changed_step, findings=_with_outcome(changed_step)), told.referenced)


def _filled(step: PerformedStep, dataset: Dataset) -> Told:
    """The step with what the data set says; its text is decoded together."""
    series = list(items(dataset, "PerformedSeriesSequence"))
    if len(series) > SERIES_LIMIT:
        raise _invalid("PerformedSeriesSequence", "has too many items")
    codes = {
        "procedure": next(items(dataset, "ProcedureCodeSequence"), None),
        "reason": next(items(dataset, "PerformedProcedureStepDiscontinuationReasonCodeSequence"), None),
    }
    values = {name: raw(dataset, keyword) for name, keyword in _TEXTS.items() if has(dataset, keyword)}
    for name, item in codes.items():
        if item is not None:
            values |= {f"{name}.value": raw(item, "CodeValue") or raw(item, "LongCodeValue"),
                       f"{name}.scheme": raw(item, "CodingSchemeDesignator"),
                       f"{name}.meaning": raw(item, "CodeMeaning")}  # fmt: skip
    for place, item in enumerate(series):
        values |= {f"series.{place}.{name}": raw(item, keyword) for name, keyword in _SERIES_TEXTS.items()}
    decoded = decode(raw(dataset, "SpecificCharacterSet"), values)
    texts = {name: text.replace("\0", " ") for name, text in decoded.texts.items()}

    changes: dict[str, object] = {name: texts[name] for name in _TEXTS if name in texts}
    for name, item in codes.items():
        if item is not None:
            changes[name] = Code(texts[f"{name}.value"], texts[f"{name}.scheme"], texts[f"{name}.meaning"])
    for name, prefix in (("started", "Start"), ("ended", "End")):
        if moment := _moment(dataset, prefix):
            changes[name] = moment
    referenced: tuple[Referenced, ...] | None = None
    if has(dataset, "PerformedSeriesSequence"):
        listed, referenced = _series(series, texts)
        changes["series"] = listed
    known = {finding.code for finding in step.findings}
    found = [_as_told(finding) for finding in decoded.findings if finding.code not in known]
    changes["findings"] = [*step.findings, *found]
    return Told(msgspec.structs.replace(step, **changes), referenced)


def _scheduled(item: Dataset) -> Scheduled:
    return Scheduled(
        study_uid=uid(item, "StudyInstanceUID"),
        accession=plain(item, "AccessionNumber"),
        step_id=plain(item, "ScheduledProcedureStepID"),
        procedure_id=plain(item, "RequestedProcedureID"),
    )


def _series(series: Sequence[Dataset], texts: dict[str, str]) -> tuple[list[Series], tuple[Referenced, ...]]:
    listed: list[Series] = []
    referenced: dict[str, Referenced] = {}
    for place, item in enumerate(series):
        series_uid = uid(item, "SeriesInstanceUID")
        made = {one.sop_uid: one for one in _referenced(item, series_uid)}
        referenced |= made
        words = {name: texts[f"series.{place}.{name}"] for name in _SERIES_TEXTS}
        listed.append(Series(series_uid, **words, instances=len(made)))
    return listed, tuple(referenced.values())


def _referenced(item: Dataset, series_uid: str) -> Iterable[Referenced]:
    for keyword in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
        for one in items(item, keyword):
            yield Referenced(series_uid, uid(one, "ReferencedSOPInstanceUID"), plain(one, "ReferencedSOPClassUID"))


def _with_outcome(step: PerformedStep) -> list[ManifestFinding]:
    """Its findings, and those that only a finished step can have."""
    findings = [*step.findings]
    if step.state == COMPLETED and not step.instances:
        findings.append(_finding("step-without-objects", "It was completed without naming an object, so nobody can "
                                 "tell whether its study is whole.", "(0040,0340)"))  # fmt: skip
    if step.state == DISCONTINUED and step.reason is not None and step.reason.value == _WRONG_ENTRY:
        findings.append(_finding("step-of-wrong-entry", "The modality says that the wrong worklist entry was chosen: "
                                 "objects made under it may be of another patient.", "(0040,0281)"))  # fmt: skip
    return findings


def _check_moment(dataset: Dataset, prefix: str) -> None:
    for kind, pattern in (("Date", _DAY), ("Time", _TIME)):
        keyword = f"PerformedProcedureStep{prefix}{kind}"
        if (value := plain(dataset, keyword)) and not pattern.fullmatch(value):
            raise _invalid(keyword, "is none")
    if plain(dataset, f"PerformedProcedureStep{prefix}Date") and not _moment(dataset, prefix):
        raise _invalid(f"PerformedProcedureStep{prefix}Date", "is none")


def _moment(dataset: Dataset, prefix: str) -> str:
    """DA and TM, which carry no zone, as a FHIR dateTime in +08:00; empty where there is no day."""
    day = plain(dataset, f"PerformedProcedureStep{prefix}Date")
    digits = plain(dataset, f"PerformedProcedureStep{prefix}Time").partition(".")[0]
    try:
        if len(digits) < 4:
            return datetime.strptime(day, "%Y%m%d").replace(tzinfo=CHINA).date().isoformat()
        return datetime.strptime(day + digits.ljust(6, "0"), "%Y%m%d%H%M%S").replace(tzinfo=CHINA).isoformat()
    except ValueError:
        return ""


def _invalid(keyword: str, why: str) -> ParseError:
    return ParseError(f"{keyword} {why}", code="attribute-invalid", location=keyword)


def _finding(code: str, text: str, location: str, severity: Severity = Severity.WARNING) -> ManifestFinding:
    return ManifestFinding(code, text, severity, location)


def _as_told(finding: Finding) -> ManifestFinding:
    return ManifestFinding(finding.code, finding.text, finding.severity, finding.location)
