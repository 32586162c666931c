"""What does a study manifest say, and whose examination is it? Only agreement of all three identifiers links it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.patient import Patient

from engine.errors import ParseError
from engine.finding import Severity
from engine.store.worklist import Step
from engine.studies import Manifest, is_of_patient, linked, name_groups, read_manifest, study_resources

INSTANCE = {"sop_uid": "2.25.3", "sop_class": "1.2.840.10008.5.1.4.1.1.1.1", "number": 1}
SERIES = {"uid": "2.25.2", "modality": "DX", "instances": [INSTANCE]}


def _manifest(**written: Any) -> Manifest:
    bare = {"study_uid": "2.25.1", "facility": "baishi", "accession": "A1", "patient_id": "BS1", "series": [SERIES]}
    return read_manifest(json.dumps(bare | written).encode())


def _step(**parts: Any) -> Step:
    known: dict[str, Any] = {
        "service_request": "o1",
        "facility": "baishi",
        "accession": "A1",
        "study_uid": "2.25.1",
        "patient_id": "BS1",
        "issuer": "",
        "patient_name": "石^秀英",
        "patient_name_latin": "Shi^Xiuying",
        "birth_on": None,
        "sex": "",
        "modality": "DX",
        "station_ae": "",
        "procedure_code": "",
        "procedure_text": "",
        "body_part": "",
        "requested_by": "",
        "placer": "",
        "scheduled_at": datetime(2026, 11, 21, tzinfo=UTC),
        "state": "scheduled",
    }
    return Step(**known | parts)


def _study(manifest: Manifest) -> dict[str, Any]:
    study = study_resources(manifest)[-1]
    subject = study["subject"] if "reference" in study["subject"] else {"display": "x"}
    ImagingStudy.model_validate({**study, "subject": subject})
    return study


@pytest.mark.parametrize(
    ("written", "step", "code"),
    [
        ({}, {}, None),
        ({"accession": ""}, {}, "study-without-accession"),
        ({}, None, "study-without-order"),
        ({"patient_id": "BS2"}, {}, "study-patient-conflict"),
        ({"patient_id": ""}, {}, "study-patient-conflict"),
        ({"patient_id": ""}, {"patient_id": ""}, "study-patient-conflict"),
        ({"issuer": "OTHER"}, {"issuer": "BSHIS"}, "study-patient-conflict"),
        ({"issuer": "BSHIS"}, {"issuer": "BSHIS"}, None),
        ({"issuer": "BSHIS"}, {}, None),
        ({}, {"issuer": "BSHIS"}, None),
    ],
)
def test_why_a_study_is_not_linked(written: dict[str, Any], step: dict[str, Any] | None, code: str | None) -> None:
    finding = _manifest(**written).disagreement(None if step is None else _step(**step))
    assert (finding.code if finding else None) == code


@pytest.mark.parametrize(
    ("system", "value", "agrees"),
    [
        ("urn:hutong:facility:baishi:patient:dicom", "BS1", True),
        ("urn:hutong:facility:baishi:patient:BSHIS", "BS1", True),
        ("urn:hutong:facility:baishi:patient:OTHER", "BS1", False),
        ("urn:hutong:facility:baishi:patient:BSHIS", "BS2", False),
        ("urn:hutong:facility:qingxi:patient:BSHIS", "BS1", False),
    ],
)
def test_a_recorded_study_is_of_the_step_by_the_same_rule(system: str, value: str, agrees: bool) -> None:
    patient = {"identifier": [{"system": system, "value": value}]}
    assert is_of_patient(_step(issuer="BSHIS"), patient) is agrees


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("石^秀英", False),
        ("SHI^XIUYING", False),
        ("Shi^Xiuying=石^秀英", False),
        ("ShiXiuying", False),
        ("Wang^Wu=石^秀英", False),
        ("Wang^Wu", True),
        ("", False),
        ("^^=^", False),
    ],
)
def test_a_name_differs_when_no_group_is_the_orders(name: str, differs: bool) -> None:
    assert (_manifest(patient_name=name).differs_in_name(_step()) is not None) is differs


def test_an_order_without_a_name_does_not_differ() -> None:
    assert _manifest(patient_name="Shi^Xiuying").differs_in_name(_step(patient_name="", patient_name_latin="")) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Shi^Xiuying=石^秀英", "石 秀英"),
        ("Shi^Xiuying=石^秀英=シ^シュウエイ", "石 秀英"),
        ("=石^秀英", "石 秀英"),
        ("Shi^Xiuying=", "Shi Xiuying"),
        ("Shi^Xiuying", "Shi Xiuying"),
    ],
)
def test_the_written_name_is_the_ideographic_group(name: str, text: str) -> None:
    patient = study_resources(_manifest(patient_name=name))[0]
    Patient.model_validate(patient)
    assert patient["name"] == [{"text": text}]


def test_a_study_without_a_patient_identifier_makes_no_patient() -> None:
    (study,) = study_resources(_manifest(patient_id=""))
    assert "reference" not in study["subject"]


@pytest.mark.parametrize(
    ("day", "time", "started"),
    [
        ("20261121", "084500", "2026-11-21T08:45:00+08:00"),
        ("20261121", "0845", "2026-11-21T08:45:00+08:00"),
        ("20261121", "084500.123", "2026-11-21T08:45:00+08:00"),
        ("20261121", "", "2026-11-21"),
        ("20261121", "996000", "2026-11-21"),
        ("20261121", "noon", "2026-11-21"),
        ("20260230", "084500", None),
        ("2026112", "084500", None),
        ("2026.11.21", "", None),
        ("２０２６１１２１", "", None),
        ("", "084500", None),
    ],
)
def test_when_a_study_started(day: str, time: str, started: str | None) -> None:
    assert _study(_manifest(study_date=day, study_time=time)).get("started") == started


@pytest.mark.parametrize("born", ["", "1963", "19630230", "19630512 ", "X"])
def test_a_birth_date_that_is_none_is_left_out(born: str) -> None:
    assert "birthDate" not in study_resources(_manifest(birth_date=born))[0]


@pytest.mark.parametrize(
    "written",
    [
        {"series": []},
        {"series": [{"uid": "2.25.2", "modality": "", "instances": []}]},
        {"series": [{**SERIES, "number": -1, "instances": [{**INSTANCE, "number": -5, "sop_class": ""}]}]},
        {"modalities": ["", "DX"], "sex": "?", "issuer": "I"},
        {"accession": "", "description": "胸部"},
    ],
)
def test_missing_and_impossible_parts_still_make_a_valid_study(written: dict[str, Any]) -> None:
    study = _study(_manifest(**written))
    assert all(value not in ("", [], {}) for value in study.values())


def test_a_huge_study_is_counted_whole() -> None:
    instances = [{**INSTANCE, "sop_uid": f"2.25.{n}"} for n in range(20_000)]
    study = study_resources(_manifest(series=[{**SERIES, "instances": instances}]))[-1]
    assert study["numberOfInstances"] == 20_000
    assert len(study["series"][0]["instance"]) == 20_000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b'{"study_uid": 1, "facility": "a", "series": []}',
        b'{"study_uid": "1", "facility": "a", "series": [], "findings": [{"code": "c", "text": "t", "severity": "?"}]}',
    ],
)
def test_what_is_no_manifest_is_refused(payload: bytes) -> None:
    with pytest.raises(ParseError):
        read_manifest(payload)


def test_findings_of_the_gateway_are_told_with_their_severity() -> None:
    written = [{"code": "charset-doubtful", "text": "t", "severity": "information", "location": "(0008,0005)"}]
    (finding,) = _manifest(findings=written).findings
    assert (finding.code, finding.severity, finding.location) == (
        "charset-doubtful",
        Severity.INFORMATION,
        "(0008,0005)",
    )


def test_a_linked_study_is_of_the_orders_patient() -> None:
    order = {"id": "o1", "subject": {"reference": "Patient/his"}}
    study = linked(_study(_manifest()), order)
    assert study["basedOn"] == [{"reference": "ServiceRequest/o1"}]
    assert study["subject"] == {"reference": "Patient/his"}


def test_name_groups_lose_their_carets_and_blanks() -> None:
    assert name_groups("Shi^Xiuying^^=石^秀英= ") == ["Shi Xiuying", "石 秀英"]
