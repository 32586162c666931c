"""Words that stand where a code belongs are words: nobody searches, compares or translates them as a code."""

from __future__ import annotations

from typing import Any

import pytest

from engine.mapping import MappingSet
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid, segment
from tests.unit.mapping.test_lens import lines, read, written
from tests.unit.mapping.test_messages_of_others import validate

LOCAL = "urn:hutong:facility:baishi:code"


def found(mapped: Map, kind: str, message: str, *segments: str) -> dict[str, Any]:
    made = next(each for each in mapped(message, pid(), *segments).resources if each["resourceType"] == kind)
    validate(made)
    return made


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("右上腹痛1周", {"text": "右上腹痛1周"}),
        ("chest pain", {"text": "chest pain"}),
        ("右上腹痛 ", {"text": "右上腹痛"}),
        ("^右上腹痛", {"text": "右上腹痛"}),
        ("R10.1", {"coding": [{"system": LOCAL, "code": "R10.1"}]}),
        ("I10.x00", {"coding": [{"system": LOCAL, "code": "I10.x00"}]}),
        ("腹痛^右上腹痛", {"coding": [{"system": LOCAL, "code": "腹痛", "display": "右上腹痛"}], "text": "右上腹痛"}),
        ("腹痛^^L", {"coding": [{"system": f"{LOCAL}:L", "code": "腹痛"}]}),
        ("R10.1^^^腹 痛", {"coding": [{"system": LOCAL, "code": "R10.1"}], "text": "腹 痛"}),
        ("腹痛^^^^^^^^原话", {"text": "原话"}),
        ("µ", {"coding": [{"system": LOCAL, "code": "µ"}]}),
    ],
)
def test_only_words_that_nothing_says_to_be_a_code_become_text(mapped: Map, raw: str, expected: dict[str, Any]) -> None:
    order = found(mapped, "ServiceRequest", "ORM^O01", "ORC|NW|O1", obr(f31=raw))
    assert order["reasonCode"] == [expected]


@pytest.mark.parametrize(
    ("kind", "element", "message", "segments"),
    [
        ("Encounter", "reasonCode", "ADT^A01", ("PV1|1|I|||||||||||||||||V1", "PV2|||反复咳嗽")),
        ("Condition", "code", "ADT^A01", ("PV1|1|I|||||||||||||||||V1", "DG1|1||反复咳嗽")),
        ("AllergyIntolerance", "code", "ADT^A01", ("AL1|1|DA|反复咳嗽",)),
        ("Observation", "code", "ORU^R01", (obr(), segment("OBX", f2="ST", f3="反复咳嗽", f5="是", f11="F"))),
        ("Observation", "valueCodeableConcept", "ORU^R01", (obr(), obx("CE", "反复咳嗽"))),
        ("DiagnosticReport", "code", "ORU^R01", (obr(f4="反复咳嗽"),)),
        ("Specimen", "type", "ORU^R01", (obr(f15="反复咳嗽"),)),
    ],
)
def test_wherever_a_coded_value_stands(
    mapped: Map, kind: str, element: str, message: str, segments: tuple[str, ...]
) -> None:
    said = found(mapped, kind, message, *segments)[element]
    assert said in ({"text": "反复咳嗽"}, [{"text": "反复咳嗽"}])


def test_a_word_that_a_table_lists_is_a_code_of_its_sender(mapped: Map) -> None:
    flag = found(mapped, "Observation", "ORU^R01", obr(), obx("NM", "5", f8="偏高"))["interpretation"][0]
    assert [coding["code"] for coding in flag["coding"]] == ["H", "偏高"]


def test_a_word_that_no_table_lists_is_kept_as_a_word_and_somebody_is_told(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("NM", "5", f8="略高一点"))
    made = next(each for each in result.resources if each["resourceType"] == "Observation")
    assert made["interpretation"] == [{"text": "略高一点"}]
    assert [finding.code for finding in result.findings] == ["code-unmapped"]


def test_words_are_written_as_words_and_read_as_the_same(mapped: Map, mappings: MappingSet) -> None:
    before = mapped("ORU^R01", pid(), obr(), obx("CE", "反复咳嗽", f3="主诉")).resources
    message = written(mappings, "ORU^R01", before)
    assert next(line for line in lines(message) if line.startswith("OBX")).split("|")[3] == "^主诉"
    again = [each for each in read(mappings, message.payload).resources if each["resourceType"] == "Observation"]
    made = [each for each in before if each["resourceType"] == "Observation"]
    assert [(each["code"], each["valueCodeableConcept"]) for each in again] == [
        (each["code"], each["valueCodeableConcept"]) for each in made
    ]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("SER^血清", {"coding": [{"system": LOCAL, "code": "SER", "display": "血清"}], "text": "血清"}),
        ("SER&血清&L^肝素", {"coding": [{"system": f"{LOCAL}:L", "code": "SER", "display": "血清"}], "text": "血清"}),
        ("SER^EDTA", {"coding": [{"system": LOCAL, "code": "SER"}]}),
        ("血清", {"text": "血清"}),
        ("^血清", {"text": "血清"}),
    ],
)
def test_the_words_of_a_specimen_stay_with_its_code(mapped: Map, source: str, kind: dict[str, Any]) -> None:
    assert found(mapped, "Specimen", "ORU^R01", obr(f15=source))["type"] == kind


@pytest.mark.parametrize(
    ("name", "system"),
    [
        ("ICD-10国临版", "urn:hutong:icd-10-clinical"),
        ("ICD-10国临版2.0", "urn:hutong:icd-10-clinical"),
        ("ICD-10医保版", "urn:hutong:icd-10-insurance"),
        ("ICD-10", "http://hl7.org/fhir/sid/icd-10"),
    ],
)
def test_the_editions_of_icd_10_are_systems_of_their_own_and_the_same_for_every_facility(
    mapped: Map, name: str, system: str
) -> None:
    condition = found(mapped, "Condition", "ADT^A01", "PV1|1|I|||||||||||||||||V1", f"DG1|1||I10.x00^高血压^{name}")
    assert condition["code"]["coding"][0] == {"system": system, "code": "I10.x00", "display": "高血压"}


@pytest.mark.parametrize(
    ("flag", "text"), [("偏高", "偏高"), ("H^偏高了", "偏高了"), ("H", None), ("↑", None), ("H^^^^^^^^升高", "升高")]
)
def test_the_text_of_a_translated_code_is_its_senders_and_ours_is_the_display(
    mapped: Map, flag: str, text: str | None
) -> None:
    said = found(mapped, "Observation", "ORU^R01", obr(), obx("NM", "5", f8=flag))["interpretation"][0]
    assert said.get("text") == text
    assert said["coding"][0]["display"] == "High"


def test_a_translated_word_is_written_as_it_was(mapped: Map, mappings: MappingSet) -> None:
    before = mapped("ORU^R01", pid(), obr(), obx("NM", "5", f8="偏高")).resources
    message = written(mappings, "ORU^R01", before)
    assert next(line for line in lines(message) if line.startswith("OBX")).split("|")[8] == "偏高"
