"""What does a centre's report hold: 检查所见 (observed) as an Observation, 诊断意见 as the conclusion."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from engine.centres.instants import written
from engine.centres.people import Centre, Person
from engine.centres.request import report_id
from engine.identifiers import organization_id, resource_id

Resource = dict[str, Any]

LOINC = "http://loinc.org"
OBSERVED = "59776-5"
"""LOINC: procedure findings. 检查所见."""
_DIAGNOSTIC_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
_SECTION_OF_MODALITY = {"ECG": "EC", "US": "RUS", "CT": "CT", "MR": "NMR", "DX": "RX", "CR": "RX"}
"""HL7 v2 table 0074, the category of DiagnosticReport."""
_OTHER_RADIOLOGY = "RAD"


def begin(task: Resource, order: Resource, study: Resource | None, modality: str, centre: Centre) -> Resource:
    """The report of a request before its first word."""
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "id": report_id(task),
        "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}],
        "status": "registered",
        "category": [
            {"coding": [{"system": _DIAGNOSTIC_SECTION, "code": _SECTION_OF_MODALITY.get(modality, _OTHER_RADIOLOGY)}]}
        ],
        "code": order["code"],
        "subject": order["subject"],
        "performer": [{"reference": f"Organization/{organization_id(centre.facility)}", "display": centre.display}],
    }
    if study is not None:
        report["imagingStudy"] = [{"reference": f"ImagingStudy/{study['id']}"}]
        if "started" in study:
            report["effectiveDateTime"] = study["started"]
    return report


def observed_id(report: Resource) -> str:
    return resource_id("Observation", report["id"], OBSERVED)


def write(report: Resource, observed: str, conclusion: str) -> tuple[Resource, Resource]:
    """The report and its 检查所见 with these words; an empty text takes the earlier one away."""
    after = {key: value for key, value in report.items() if key != "conclusion"}
    if conclusion:
        after["conclusion"] = conclusion
    after["status"] = "partial"
    after["result"] = [{"reference": f"Observation/{observed_id(report)}", "display": "检查所见"}]
    return after, _observation(after, observed)


def observed_text(observation: Resource | None) -> str:
    text: str = (observation or {}).get("valueString", "")
    return text


def is_complete(report: Resource, observation: Resource | None) -> bool:
    """Whether both parts hold something that can be read."""
    return bool(observed_text(observation).strip()) and bool(report.get("conclusion", "").strip())


def at_stage(report: Resource, observation: Resource, status: str) -> tuple[Resource, Resource]:
    """Both with another status: partial, preliminary or final."""
    return {**report, "status": status}, {**observation, "status": _OBSERVATION_STATUS[status]}


def interpreted_by(report: Resource, people: list[Person]) -> Resource:
    """The report with those who answer for it: its writer first, its signer last, each once."""
    references: list[Resource] = []
    for person in people:
        if person.reference not in references:
            references.append(person.reference)
    return {**report, "resultsInterpreter": references}


def issued(report: Resource, at: datetime) -> Resource:
    return {**report, "issued": written(at), "effectiveDateTime": report.get("effectiveDateTime", written(at))}


_OBSERVATION_STATUS = {"partial": "registered", "preliminary": "preliminary", "final": "final"}


def _observation(report: Resource, observed: str) -> Resource:
    observation: Resource = {
        "resourceType": "Observation",
        "id": observed_id(report),
        "status": _OBSERVATION_STATUS[report["status"]],
        "code": {"coding": [{"system": LOINC, "code": OBSERVED}], "text": "检查所见"},
        "subject": report["subject"],
    }
    if observed:
        observation["valueString"] = observed
    else:
        observation["dataAbsentReason"] = {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "temp-unknown"}]
        }
    return observation
