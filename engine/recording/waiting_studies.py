"""Which studies waited for this order? Linked now where facility, accession and patient identifier agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.finding import Finding
from engine.identifiers import DICOM_UID, facility_system
from engine.recording.work import Work
from engine.store import reconcile_cases, records
from engine.store.reconcile_cases import StudyKey
from engine.store.tokens import of_system_and_value
from engine.store.worklist import Step
from engine.studies import (
    PATIENT_CONFLICT,
    UNLINKED,
    differs_in_birth_date,
    differs_in_name,
    is_of_patient,
    linked,
    patient_conflict,
)
from engine.understanding import Understood

Resource = dict[str, Any]

_SOMEBODY = "Patient/unknown"
"""Stands for the patient of a study whose objects name none; no resource has this id."""
_OID = "urn:oid:"


async def link_waiting_studies(work: Work, walk: Understood, order: Resource, step: Step) -> list[Resource]:
    """Every unlinked study of the order's facility and accession number that is of its patient, linked.

    One of another patient waits for a person: what it waited for is known now, and is not what was expected.
    """
    if step.state == "cancelled":
        return []
    token = of_system_and_value("identifier", facility_system(step.facility, "accession"), step.accession)
    found = []
    for stored in await records.find(work.connection, "ImagingStudy", token):
        subject = stored.body["subject"].get("reference", _SOMEBODY)
        await work.book.load([stored.reference, subject])
        study = work.book.get(stored.reference)
        if study is None or study.get("basedOn") or study.get("status") != "available":
            continue
        patient = work.book.get(subject) or {}
        key = StudyKey(step.facility, _uid(study), stored.reference)
        waits = set(await reconcile_cases.of_study(work.connection, key.facility, key.study_uid))
        if not is_of_patient(step, patient):
            _told_of_conflict(work, walk, key, waits)
            continue
        study = linked(study, order)
        work.put(study, walk)
        work.linked_studies.append(stored.reference)
        differences = list(_differences(patient, step))
        for differs in differences:
            work.find(differs, walk, stored.reference)
        work.cases[key] = waits.difference(UNLINKED) | {differs.code for differs in differences}
        found.append(study)
    return found


def _told_of_conflict(work: Work, walk: Understood, key: StudyKey, waits: set[str]) -> None:
    if PATIENT_CONFLICT in waits:
        return
    work.find(patient_conflict(), walk, key.reference)
    work.cases[key] = waits.difference(UNLINKED) | {PATIENT_CONFLICT}
    work.came_otherwise.append(key.reference)


def _differences(patient: Resource, step: Step) -> Iterator[Finding]:
    names = [name.get("text") or name.get("family", "") for name in patient.get("name", ())]
    if (name := differs_in_name(names, step)) is not None:
        yield name
    if (birth_date := differs_in_birth_date(patient.get("birthDate", ""), step)) is not None:
        yield birth_date


def _uid(study: Resource) -> str:
    numbers = (str(one.get("value", "")) for one in study.get("identifier", ()) if one.get("system") == DICOM_UID)
    return next(numbers, "").removeprefix(_OID)
