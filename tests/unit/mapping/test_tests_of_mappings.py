"""A mapping has tests beside it, which fail with their line; and a rule that none of them exercises fails too."""

from __future__ import annotations

from pathlib import Path

from engine.mapping.testing import run_tests
from tests.unit.mapping.conftest import Edit
from tests.unit.mapping.segments import pid


def test_the_tests_beside_the_mappings_pass(folder: Path) -> None:
    results = run_tests(folder)
    assert {result.mapping for result in results} >= {"ADT", "ORM_O01", "ORU_R01", "ORU_R01_report"}
    assert [result for result in results if not result.passed] == []


def test_a_wrong_fact_fails_its_test_with_line_and_both_values(copied: Path, edit: Edit) -> None:
    edit("hl7v2/ADT/mapping_test.yaml", "Patient.gender: male", "Patient.gender: female")
    failed = [result for result in run_tests(copied) if not result.passed]
    assert [(result.file, result.line, result.failures) for result in failed] == [
        ("hl7v2/ADT/mapping_test.yaml", 2, ("Patient.gender: expected female, found male",))
    ]


def test_a_wrong_fact_of_an_outbound_test_fails(copied: Path, edit: Edit) -> None:
    edit("hl7v2/ORU_R01/outbound_test.yaml", "OBR-25: F", "OBR-25: P")
    failed = [result for result in run_tests(copied) if not result.passed]
    assert [(result.mapping, result.failures) for result in failed] == [
        ("ORU_R01_report", ("OBR-25: expected P, found F",))
    ]


def test_a_mapping_without_a_test_fails(copied: Path) -> None:
    (copied / "hl7v2/ADT/mapping_test.yaml").unlink()
    failed = {(result.mapping, result.name) for result in run_tests(copied) if not result.passed}
    assert ("ADT", "has a test") in failed
    assert {name for _, name in failed} == {"has a test", "every rule is tested"}


def untested(folder: Path) -> list[tuple[str, int, str]]:
    return [
        (result.file, result.line, result.failures[0].partition(":")[0])
        for result in run_tests(folder)
        if result.name == "every rule is tested"
    ]


def test_a_rule_that_no_test_exercises_fails_where_it_stands(copied: Path, edit: Edit) -> None:
    row = "- {rule: pid-8,  from: PID-8,  to: gender, table: sex, dir: both}"
    line = edit("hl7v2/parts/patient.yaml", row, f"{row}\n  - {{rule: pid-99, from: PID-99, to: extension+}}")
    assert untested(copied) == [("hl7v2/parts/patient.yaml", line + 1, "rule pid-99")]


def test_a_rule_of_a_part_is_tested_by_any_mapping_that_has_the_part(copied: Path, edit: Edit) -> None:
    """OBX-25 stands in a message of OML and one of ORU, and its rule in the part that results share."""
    edit("hl7v2/OML_O21/mapping_test.yaml", "every_field.hl7", "new_order.hl7")
    edit("hl7v2/ORU_R01/mapping_test.yaml", "whole.hl7", "two_reports.hl7")
    found = {rule for _, _, rule in untested(copied)}
    assert "rule obx-25" in found
    assert "rule obx-5" not in found


def test_a_facility_tests_its_own_rules(overlaid: Path) -> None:
    assert {(file, rule) for file, _, rule in untested(overlaid)} == {
        ("facilities/baishi/adt.yaml", "rule pid-13"),
        ("facilities/baishi/adt.yaml", "rule z-name"),
    }
    place = overlaid / "facilities/baishi"
    lines = ("MSH|^~\\&|HIS|F|H|H|20260401||ADT^A04|C1|P|2.5.1", pid(f5="王^小东", f13="1"), "ZPD|1|小^东")
    (place / "registration.hl7").write_text("".join(f"{line}\r" for line in lines), encoding="utf-8")
    (place / "mapping_test.yaml").write_text(TEST_OF_FACILITY, encoding="utf-8")
    assert untested(overlaid) == []


TEST_OF_FACILITY = """\
tests:
  - name: The second name of baishi
    message: registration.hl7
    expect: {"Patient.name[1].text": 小东}
"""
