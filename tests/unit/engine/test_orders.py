"""What does an imaging order schedule? The step that a modality is told of, whatever the order leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from engine.identifiers import DICOM_UID, facility_system
from engine.orders import (
    LIMIT_ACCESSION,
    accessions_of,
    categories_of,
    fits_worklist,
    is_cancelled,
    latin_name,
    modality_of,
    numbered,
    performed,
    schedule,
    shortened,
    study_uid_for,
    study_uids_of,
)
from engine.store.worklist import Step
from engine.studies import MODALITY

ORDERED_AT = datetime(2026, 11, 21, 0, 35, tzinfo=UTC)
BARE: dict[str, Any] = {"resourceType": "ServiceRequest", "id": "o1"}
PATIENT: dict[str, Any] = {
    "identifier": [
        {"system": "urn:oid:2.16.156.10011.1.3", "value": "110105196305121226"},
        {"system": "urn:hutong:facility:qingxi:patient:QX", "value": "QX1"},
        {"system": "urn:hutong:facility:baishi:patient:BSHIS", "value": "BS0001"},
    ],
    "name": [{"family": "石", "given": ["秀英"]}],
    "gender": "female",
    "birthDate": "1963-05-12",
}


def _number(kind: str, value: str, **more: str) -> dict[str, Any]:
    system = facility_system("baishi", "accession")
    return {"type": {"coding": [{"code": kind}]}, "system": system, "value": value, **more}


def _step(order: dict[str, Any] | None = None, patient: dict[str, Any] | None = None) -> Step:
    return schedule(
        {**BARE, **(order or {})}, PATIENT if patient is None else patient, "baishi", "A1", "2.25.1", ORDERED_AT
    )


def test_a_bare_order_of_somebody_unknown_is_a_step_with_empty_parts() -> None:
    step = _step(patient={})
    assert (step.patient_id, step.issuer, step.patient_name, step.birth_on, step.sex) == ("", "", "", None, "")
    assert (step.modality, step.procedure_code, step.body_part, step.placer) == ("", "", "", "")
    assert (step.state, step.scheduled_at) == ("scheduled", ORDERED_AT)


def test_a_step_takes_the_identifier_that_its_own_facility_gave() -> None:
    step = _step()
    assert (step.patient_id, step.issuer) == ("BS0001", "BSHIS")
    assert (step.birth_on, step.sex) == (date(1963, 5, 12), "F")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("active", "scheduled"),
        ("unknown", "scheduled"),
        ("on-hold", "on-hold"),
        ("revoked", "cancelled"),
        ("entered-in-error", "cancelled"),
        ("completed", "performed"),
    ],
)
def test_the_state_of_a_step(status: str, state: str) -> None:
    assert _step({"status": status}).state == state
    assert is_cancelled({"status": status}) is (state == "cancelled")


@pytest.mark.parametrize(
    ("due", "at"),
    [
        ("2026-11-22T09:00:00+08:00", datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ("2026-11-22T09:00:00", datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ("2026-11-22T09:00:00Z", datetime(2026, 11, 22, 9, tzinfo=UTC)),
        ("2026-11-22", ORDERED_AT),
        ("2026-13-45T09:00:00Z", ORDERED_AT),
        ("", ORDERED_AT),
    ],
)
def test_when_a_step_is_due(due: str, at: datetime) -> None:
    assert _step({"occurrenceDateTime": due}).scheduled_at == at


@pytest.mark.parametrize(
    ("born", "on"),
    [("1963-05-12", date(1963, 5, 12)), ("1963-05", None), ("1963", None), ("1963-02-30", None), ("", None)],
)
def test_only_a_whole_date_is_a_birthday(born: str, on: date | None) -> None:
    assert _step(patient={"birthDate": born}).birth_on == on


@pytest.mark.parametrize(
    ("name", "written", "latin"),
    [
        ({"family": "石", "given": ["秀英"]}, "石^秀英", "Shi^Xiuying"),
        ({"text": "石秀英"}, "石秀英", "Shixiuying"),
        ({"family": "石"}, "石", "Shi"),
        ({"given": ["秀英"]}, "^秀英", "Xiuying"),
        ({"family": "Smith", "given": ["Ann", "Mary"]}, "Smith^Ann Mary", "Smith^Annmary"),
        ({"family": "石=^\\", "given": ["秀\x00英"]}, "石^秀英", "Shi^Xiuying"),
        ({}, "", ""),
    ],
)
def test_a_name_for_the_worklist(name: dict[str, Any], written: str, latin: str) -> None:
    assert _step(patient={"name": [name]}).patient_name == written
    assert latin_name(name) == latin


@pytest.mark.parametrize(
    ("value", "limit", "fits"),
    [
        ("A" * 16, 16, True),
        ("A" * 17, 16, False),
        ("", 16, True),
        ("号" * 16, 16, True),
        ("A\\B", 16, False),
        ("A\tB", 16, False),
        ("P" * 64, 64, True),
        ("P" * 65, 64, False),
    ],
)
def test_what_a_modality_gives_back_as_it_got_it(value: str, limit: int, fits: bool) -> None:
    assert fits_worklist(value, limit) is fits


def test_long_text_is_cut_and_a_long_code_left_out() -> None:
    step = replace(
        _step(), patient_name="石" * 65, patient_name_latin="S" * 70, procedure_text="x" * 65, procedure_code="C" * 17
    )
    short, columns = shortened(step)
    assert columns == ["patient_name", "patient_name_latin", "procedure_code", "procedure_text"]
    assert (len(short.patient_name), len(short.patient_name_latin), len(short.procedure_text)) == (64, 64, 64)
    assert short.procedure_code == ""


def test_what_fits_stays_as_it_is() -> None:
    step = replace(_step(), patient_name="石" * 64, procedure_code="C" * 16)
    assert shortened(step) == (step, [])


def test_an_order_goes_by_its_number_and_keeps_the_others_behind() -> None:
    order = {**BARE, "identifier": [_number("PLAC", "O1"), _number("ACSN", "HIS-1"), _number("ACSN", "A1")]}
    once = numbered(order, "baishi", "A1", "2.25.1")
    assert accessions_of(once) == ["A1", "HIS-1"]
    assert [i["value"] for i in once["identifier"]] == ["O1", "A1", "HIS-1", "urn:oid:2.25.1"]
    assert numbered(once, "baishi", "A1", "2.25.1") == once
    assert accessions_of(order) == ["HIS-1", "A1"]


def test_an_order_goes_by_one_study_uid_however_often_it_is_numbered_and_keeps_others_behind() -> None:
    order = numbered({**BARE, "identifier": [{"system": DICOM_UID, "value": "urn:oid:1.9"}]}, "baishi", "A1", "2.25.1")
    again = numbered(order, "baishi", "A1", "2.25.1")
    uids = [(i["value"], i.get("use")) for i in again["identifier"] if i["system"] == DICOM_UID]
    assert uids == [("urn:oid:2.25.1", None), ("urn:oid:1.9", "secondary")]
    assert study_uids_of(again) == ["2.25.1", "1.9"]


@pytest.mark.parametrize(
    ("brought", "uid"),
    [
        ("urn:oid:1.2.840.113619.2.55", "1.2.840.113619.2.55"),
        ("1.2.840.113619.2.55", ""),
        ("urn:oid:1.2.0840", ""),
        ("urn:oid:3.1", ""),
        ("urn:oid:１.2", ""),
        ("urn:oid:1." + "2" * 64, ""),
        ("urn:oid:", ""),
    ],
)
def test_an_order_brings_a_study_uid_only_when_it_is_one(brought: str, uid: str) -> None:
    found = study_uids_of({**BARE, "identifier": [{"system": DICOM_UID, "value": brought}]})
    assert found == ([uid] if uid else [])


def test_a_study_uid_is_derived_and_legal() -> None:
    uid = study_uid_for(BARE, "baishi")
    assert uid == study_uid_for(BARE, "baishi") != study_uid_for(BARE, "qingxi")
    assert len(uid) <= 64
    assert uid.startswith("2.25.")
    assert LIMIT_ACCESSION == 16


def test_the_modality_and_the_categories_of_an_order() -> None:
    order = {
        "category": [{"coding": [{"system": MODALITY, "code": "DX"}]}, {"coding": [{"code": "RAD"}]}, {"text": "放射"}]
    }
    assert modality_of(order) == "DX"
    assert categories_of(order) == {"DX", "RAD", "放射"}
    assert modality_of({}) == ""
    assert modality_of({"category": [{"text": "放射"}]}) == ""
    assert categories_of({}) == frozenset()


def test_a_performed_step_is_the_same_step() -> None:
    assert replace(performed(_step()), state="scheduled") == _step()
