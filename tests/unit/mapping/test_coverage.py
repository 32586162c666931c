"""How much of HL7's v2-to-FHIR map is fulfilled is found by trying, and nothing is counted that is not there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from engine.cli.check_coverage import as_json, as_markdown
from engine.mapping import MappingSet
from engine.mapping.coverage import Covered, SegmentCoverage, State, coverage
from engine.mapping.coverage_condition import holds
from engine.mapping.coverage_rows import Row, read_rows


def _of(folder: Path, segment: str) -> SegmentCoverage:
    facilities = [path.name for path in folder.glob("facilities/*")]
    return coverage(MappingSet.load(folder, facilities), folder, [segment])[0]


def _row(found: SegmentCoverage, field: str, attribute: str) -> Covered:
    return next(each for each in found.rows if (each.row.field, each.row.attribute) == (field, attribute))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """One of the mappings, with what it needs, to be changed."""
    target = tmp_path / "mappings"
    for part in ("hl7v2/ADT", "hl7v2/parts", "tables", "requirements"):
        shutil.copytree(folder / part, target / part)
    return target


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_every_official_row_is_a_requirement(folder: Path) -> None:
    official = [row for row in read_rows(folder) if row.segment not in ("IPC", "ZDS")]

    assert len(official) == 1055
    assert len({row.id for row in official}) == 1055


def test_a_row_knows_the_resource_of_its_map() -> None:
    assert Row("MSH[Provenance-Source]/3", "MSH-7", "recorded", "", "").resource == "Provenance"


def test_taking_a_rule_away_lowers_the_number(copy: Path) -> None:
    before = _of(copy, "PID")
    part = copy / "hl7v2/parts/patient.yaml"
    part.write_text(re.sub(r".*rule: pid-8,.*\n", "", part.read_text(encoding="utf-8")), encoding="utf-8")

    after = _of(copy, "PID")

    assert _row(before, "PID-8", "gender").state is State.MAPPED
    assert _row(after, "PID-8", "gender").state is State.MISSING
    assert after.count(State.MAPPED) == before.count(State.MAPPED) - 1


def test_a_rule_that_writes_another_element_does_not_count(copy: Path) -> None:
    _change(copy / "hl7v2/parts/patient.yaml", "to: gender, table: sex", "to: language, table: sex")

    assert _row(_of(copy, "PID"), "PID-8", "gender").state is State.MISSING


def test_a_rule_that_no_tests_message_fills_does_not_count(copy: Path) -> None:
    for message in copy.glob("hl7v2/*/*.hl7"):
        content = message.read_bytes()
        message.write_bytes(re.sub(rb"(?<![^\r\n])(PID(?:\|[^|\r\n]*){7}\|)[^|\r\n]*", rb"\1", content))

    found = _row(_of(copy, "PID"), "PID-8", "gender")

    assert (found.state, found.says) == (State.MISSING, "read, but not for this")


def test_what_stands_elsewhere_is_tried_as_well(copy: Path) -> None:
    line = "PID[Patient],PID-8,gender,Patient.{},,said here\n"
    _change(copy / "hl7v2/parts/patient.yaml", "to: gender, table: sex", "to: language, table: sex")
    elsewhere = copy / "requirements/elsewhere.csv"
    kept = elsewhere.read_text(encoding="utf-8")

    elsewhere.write_text(kept + line.format("maritalStatus"), encoding="utf-8")
    assert _row(_of(copy, "PID"), "PID-8", "gender").state is State.MISSING

    elsewhere.write_text(kept + line.format("language"), encoding="utf-8")
    found = _row(_of(copy, "PID"), "PID-8", "gender")
    assert (found.state, found.says) == (State.ELSEWHERE, "Patient.language: said here")


def test_the_envelope_keeps_only_what_an_envelope_has(copy: Path) -> None:
    elsewhere = copy / "requirements/elsewhere.csv"
    with elsewhere.open("a", encoding="utf-8") as file:
        file.write("IN1[Coverage],IN1-16,subscriber(Patient),Envelope.colour,,no such thing\n")

    assert _row(_of(copy, "IN1"), "IN1-16", "subscriber(Patient)").state is State.MISSING


@pytest.mark.parametrize(
    ("condition", "segment", "holds_for"),
    [
        ('IF OBX-2 EQUALS "SN" AND OBX-5.3 IN (":", "/")', "OBX|1|SN|||^1^:^8", True),
        ('IF OBX-2 EQUALS "SN" AND OBX-5.3 IN (":", "/")', "OBX|1|SN|||^1^-^8", False),
        ('IF OBX-2 EQUALS "SN" AND OBX-5.1 NOT EQUALS "<>"', "OBX|1|SN|||<>^1", False),
        ("IF SPM-17.2 NOT VALUED", "SPM" + "|" * 17 + "20260401", True),
        ("IF SPM-17.2 NOT VALUED", "SPM" + "|" * 17 + "20260401^20260402", False),
        ("IF PV1-45 IS VALUED", "PV1|1|I", False),
        ("IF PR1-5.5 IS VALUED", "PR1|||||202604011030", True),
        ("IF PR1-5.5 IS VALUED", "PR1|||||20260401", False),
        ('IF EVN-4 NOT "U"', "EVN||||U", False),
        ("IF ORC-12 NOT VALUED", "OBR|1", True),
        ("If it represents a HRF or AIDC", "PRT|1", True),
    ],
)
def test_a_row_is_tried_in_the_segments_that_its_condition_means(condition: str, segment: str, holds_for: bool) -> None:
    assert holds(condition, segment.split("|")) is holds_for


def test_the_document_says_how_the_installed_mappings_stand(folder: Path) -> None:
    facilities = [path.name for path in folder.glob("facilities/*")]
    found = coverage(MappingSet.load(folder, facilities), folder)
    document = (folder.parent / "docs/hl7v2-coverage.md").read_text(encoding="utf-8")

    assert [each.segment for each in found if each.percent < 90] == []
    assert document == as_markdown(found), "write it anew: hutong check docker/example --coverage --markdown"
    assert [each["percent"] for each in json.loads(as_json(found))][:2] == [found[0].percent, found[1].percent]
