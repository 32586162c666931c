"""What is wrong with a mappings folder is said with file, line and the nearest valid name; all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.mapping import MappingSet
from tests.unit.mapping.conftest import Edit
from tests.unit.mapping.folders import problems


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("with: birth_date", "with: birth_dat", "'birth_dat' is not known; did you mean 'birth_date'?"),
        ("table: sex", "table: sexes", "'sexes' is not known; did you mean 'sex'?"),
        ("from: PID-7", "from: PID7", "'PID7': expected a field such as PID-5 or OBR-27.4"),
        ("from: PID-7", "form: PID-7", "expected one of the known keys; did you mean 'from'?"),
        ("to: birthDate, ", "", "expected also: to"),
        ("from: PID-7", "from: [PID-7, PID-8]", "'birth_date' takes 1 field; 'from' names 2"),
        ("from: PID-7", "from: OBX-7", "segment OBX"),
        ("rule: pid-7,", "rule: pid-8,", "expected every rule once"),
        ("with: person_name", "with: patient_id", "'patient_id' is not known"),
        ("with: birth_date", "with: examination", "'examination' needs a table"),
        ("from: PID-7", "value: x, from: PID-7", "expected exactly one of: from, value, refer"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(copied: Path, edit: Edit, old: str, new: str, expected: str) -> None:
    line = edit("hl7v2/parts/patient.yaml", old, new)
    found = [each for each in problems(copied) if expected in each]
    assert found
    if "once" not in expected:
        assert found[0].startswith(f"hl7v2/parts/patient.yaml:{line}:")


def test_an_unreachable_segment_is_named_once_for_each_mapping(copied: Path, edit: Edit) -> None:
    edit("hl7v2/parts/patient.yaml", "from: PID-7", "from: OBX-7")
    assert any("segment OBX cannot be reached from group 'patient'" in each for each in problems(copied))


def test_two_mistakes_are_told_together(copied: Path, edit: Edit) -> None:
    edit("hl7v2/parts/patient.yaml", "table: sex", "table: sexes")
    edit("hl7v2/ORU_R01/mapping.yaml", "part: specimen\n", "part: speciman\n")
    found = problems(copied)
    assert any("sexes" in each for each in found)
    assert any("'speciman' is not known; did you mean 'specimen'?" in each for each in found)


def test_a_table_with_a_code_twice_is_refused(copied: Path, edit: Edit) -> None:
    line = edit("tables/sex.csv", "F,female", "m,female")
    assert problems(copied) == [f"tables/sex.csv:{line}: from: expected every code once; it stands on line 2"]


def test_a_table_may_come_from_a_spreadsheet_program(copied: Path) -> None:
    path = copied / "tables/sex.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert MappingSet.load(copied, []).find("ADT^A04", "any") is not None


def test_a_table_that_functions_look_into_may_not_be_missing(copied: Path) -> None:
    (copied / "tables/code_systems.csv").unlink()
    assert problems(copied) == ["tables/code_systems.csv: expected this table; functions look into it"]


def test_a_facility_that_is_none_is_refused_with_the_nearest(copied: Path) -> None:
    (copied / "facilities/baisi").mkdir(parents=True)
    assert problems(copied, ["baishi"]) == ["facilities/baisi: 'baisi' is no facility; did you mean 'baishi'?"]


def test_a_wrong_row_of_an_outbound_mapping_is_named_with_its_line(copied: Path, edit: Edit) -> None:
    line = edit("hl7v2/ORU_R01/outbound.yaml", "with: patient_numbers", "with: patient_number")
    found = problems(copied)
    assert found == [
        f"hl7v2/ORU_R01/outbound.yaml:{line}: segments.rules.with: "
        "'patient_number' is not known; did you mean 'patient_numbers'?"
    ]


def test_a_row_that_writes_needs_a_function_that_knows_the_way_back(copied: Path, edit: Edit) -> None:
    line = edit("hl7v2/parts/encounter.yaml", "with: visit_status,", "with: visit_status, dir: both,")
    assert problems(copied) == [
        f"hl7v2/parts/encounter.yaml:{line}: rules.dir: 'visit_status' only reads; "
        "expected one that also writes; did you mean 'result_status'?"
    ]


def test_a_table_with_several_codes_for_one_says_which_is_written(copied: Path, edit: Edit) -> None:
    edit("tables/sex.csv", "M,male,HL7 0001,yes", "M,male,HL7 0001")
    assert any(
        "table 'sex' has several rows for 'male'; mark one 'yes' in its column back" in each
        for each in problems(copied)
    )


def test_a_row_writes_only_what_it_reads(copied: Path, edit: Edit) -> None:
    edit("hl7v2/parts/order.yaml", "writes: [OBR-2, ORC-2]", "writes: [OBR-2, ORC-4]")
    assert any("ORC-4 stands in neither 'from' nor 'else'" in each for each in problems(copied))


def test_a_message_type_that_nothing_maps_has_no_mapping(mappings: MappingSet) -> None:
    assert mappings.find("BAR^P01", "baishi") is None
