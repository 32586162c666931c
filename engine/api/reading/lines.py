"""How are resources told to the reading room? Pure: recorded resources in, answer shapes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

from engine import orders
from engine.api.reading.models import (
    Completeness,
    FacilityLine,
    InstanceLine,
    PatientLine,
    PersonLine,
    RequestRow,
    SeriesLine,
    StepLine,
    StudyView,
)
from engine.centres import case as cases
from engine.centres import request as requests
from engine.centres.request import Transition
from engine.centres.states import DISPLAY
from engine.clock import CHINA
from engine.config import Community
from engine.identifiers import DICOM_UID, ID_CARD
from engine.store.wholeness import State, StudyState

Resource = dict[str, Any]

_ACCESSION = "ACSN"
_PLACER = "PLAC"
_UID_PREFIX = "urn:oid:"


def request_row(
    task: Resource,
    order: Resource,
    patient: Resource,
    studies: list[Resource],
    states: Sequence[StudyState],
    changed_at: datetime,
    config: Community,
    at: datetime,
) -> RequestRow:
    state = requests.state_of(task)
    centre = config.centres.get(requests.centre_of(task))
    reader, writer = requests.reader_of(task), cases.writer_of(task)
    return RequestRow(
        id=task["id"],
        state=state,
        state_display=DISPLAY[state],
        centre=requests.centre_of(task),
        centre_display=centre.display if centre else requests.centre_of(task),
        priority=task.get("priority", "routine"),
        patient=patient_line(patient, task["for"]["reference"].partition("/")[2], at),
        facility=facility_line(requests.facility_of(task), config),
        modality=modality_of(order, studies),
        procedure=concept_text(order.get("code")),
        body_part=concept_text((order.get("bodySite") or [{}])[0]),
        accession=typed_identifier(order, _ACCESSION),
        images=sum(_instances(study) for study in studies),
        completeness=completeness(states),
        requested_at=requests.transitions(task)[0].at,
        waiting_since=requests.readable_since(task),
        changed_at=changed_at,
        reader=_person(reader),
        writer=_person(writer),
    )


_WORST_FIRST = (State.SHORT, State.RECEIVING, State.LATE, State.WHOLE)


def completeness(states: Sequence[StudyState]) -> Completeness | None:
    """Of the study that lacks most."""
    if not states:
        return None
    worst = min(states, key=lambda state: (_WORST_FIRST.index(state.state), -state.missing))
    return Completeness(state=worst.state, missing=worst.missing, missing_uids=list(worst.missing_uids))


def patient_line(patient: Resource, patient_id: str, at: datetime) -> PatientLine:
    gender = patient.get("gender")
    born = patient.get("birthDate")
    return PatientLine(
        id=patient_id,
        name=person_name(patient),
        sex=_SEX.get(str(gender), "unknown"),
        birth_on=born,
        age=age(born, at),
        local_id=next(
            (i["value"] for i in patient.get("identifier") or () if i.get("system") != ID_CARD and i.get("value")), ""
        ),
    )


def person_name(resource: Resource) -> str:
    """The first name, whole: 张三 rather than 张 and 三 apart."""
    for name in resource.get("name") or ():
        text: str = name.get("text") or "".join([name.get("family") or "", *(name.get("given") or ())])
        if text:
            return text
    return ""


def age(birth_date: str | None, at: datetime) -> str:
    """Days below a month, months below two years, then years; empty when the birth date is not known or ahead."""
    if not birth_date:
        return ""
    today = at.astimezone(CHINA).date()
    if len(birth_date) < len("2001-01-01"):
        years = today.year - int(birth_date[:4])
        return f"约{years}岁" if years >= 0 else ""
    born = date.fromisoformat(birth_date[:10])
    if born > today:
        return ""
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if months < 1:
        return f"{(today - born).days}天"
    return f"{months}月" if months < 24 else f"{months // 12}岁"


def facility_line(code: str, config: Community) -> FacilityLine:
    facility = config.facilities.get(code)
    return FacilityLine(code=code, name=facility.name if facility else code)


def concept_text(concept: Resource | None) -> str:
    if not concept:
        return ""
    displays = [coding.get("display") for coding in concept.get("coding") or ()]
    codes = [coding.get("code") for coding in concept.get("coding") or ()]
    return next((text for text in [concept.get("text"), *displays, *codes] if text), "")


def typed_identifier(resource: Resource, kind: str) -> str:
    """The value of the first identifier of a type of HL7 v2 table 0203 (ACSN, PLAC, …); empty when there is none."""
    for identifier in resource.get("identifier") or ():
        codes = [coding.get("code") for coding in (identifier.get("type") or {}).get("coding") or ()]
        if kind in codes:
            value: str = identifier.get("value", "")
            return value
    return ""


def placer_of(order: Resource) -> str:
    return typed_identifier(order, _PLACER)


def modality_of(order: Resource, studies: list[Resource]) -> str:
    """What the order asks for; what the images are when it does not say."""
    made = (coding["code"] for study in studies for coding in study.get("modality") or ())
    return orders.modality_of(order) or next(made, "")


def study_view(study: Resource) -> StudyView:
    uid = study_uid(study)
    return StudyView(
        id=study["id"],
        uid=uid,
        started=study.get("started"),
        description=study.get("description", ""),
        series=[_series_line(uid, series) for series in _numbered(study.get("series"))],
    )


def study_uid(study: Resource) -> str:
    for identifier in study.get("identifier") or ():
        if identifier.get("system") == DICOM_UID:
            value: str = identifier["value"]
            return value.removeprefix(_UID_PREFIX)
    return ""


def step_line(step: Transition, config: Community) -> StepLine:
    return StepLine(
        action=step.action,
        at=step.at,
        person=step.person,
        display=step.display,
        facility=facility_line(step.facility, config).name,
        comment=step.comment,
    )


_SEX: dict[str, Literal["male", "female", "other", "unknown"]] = {"male": "male", "female": "female", "other": "other"}


def _series_line(study: str, series: Resource) -> SeriesLine:
    return SeriesLine(
        uid=series["uid"],
        modality=(series.get("modality") or {}).get("code", ""),
        number=series.get("number"),
        description=series.get("description", ""),
        instances=[_instance_line(study, series["uid"], one) for one in _numbered(series.get("instance"))],
    )


def _instance_line(study: str, series: str, instance: Resource) -> InstanceLine:
    sop = instance["uid"]
    return InstanceLine(
        sop_uid=sop,
        sop_class=(instance.get("sopClass") or {}).get("code", "").removeprefix(_UID_PREFIX),
        number=instance.get("number"),
        rendered=f"/dicomweb/studies/{study}/series/{series}/instances/{sop}/rendered",
    )


def _numbered(entries: list[Resource] | None) -> list[Resource]:
    return sorted(
        entries or (), key=lambda entry: (entry.get("number") is None, entry.get("number") or 0, entry["uid"])
    )


def _instances(study: Resource) -> int:
    return int(study.get("numberOfInstances") or sum(len(s.get("instance") or ()) for s in study.get("series") or ()))


def _person(step: Transition | None) -> PersonLine | None:
    return PersonLine(name=step.person, display=step.display) if step is not None else None
