"""What is wrong with a mappings folder is said with file, line and the nearest valid name; all of it at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.codecs import er7
from engine.config.problems import InvalidConfiguration
from engine.mapping import Mapped, MappingSet
from engine.mapping.testing import run_tests
from tests.unit.mapping.conftest import CONTEXT
from tests.unit.mapping.segments import pid, segment

Edit = Callable[[str, str, str], int]


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "mappings"))


@pytest.fixture
def edit(copied: Path) -> Edit:
    def replace(file: str, old: str, new: str) -> int:
        """Replaces a text in a file; returns the line it stood on."""
        path = copied / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    return replace


def problems(folder: Path, facilities: list[str] | None = None) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        MappingSet.load(folder, facilities or [])
    return [str(problem) for problem in caught.value.problems]


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


OVERLAY = """\
version: 1
mappings: [ADT]
groups:
  patient: {holds: [ZPD]}
changes:
  Patient:
    - {rule: pid-13, from: PID-13, to: telecom+, with: telecom, as: work}
    - {rule: pid-14, remove: yes}
    - {rule: z-name, from: ZPD-2, to: name+, with: person_name}
"""


@pytest.fixture
def overlaid(copied: Path) -> Path:
    place = copied / "facilities/baishi"
    (place / "tables").mkdir(parents=True)
    (place / "adt.yaml").write_text(OVERLAY, encoding="utf-8")
    (place / "tables/sex.csv").write_text("from,code\nX,other\nM,unknown\n", encoding="utf-8")
    return copied


def registered(mappings: MappingSet, facility: str, *lines: str) -> Mapped:
    mapping = mappings.find("ADT^A04", facility)
    assert mapping is not None
    header = "MSH|^~\\&|HIS|F|H|H|20260401||ADT^A04|C1|P|2.5.1"
    return mapping.apply(er7.parse("".join(f"{line}\r" for line in (header, *lines)).encode()), CONTEXT)


def test_the_row_that_makes_an_id_goes_with_what_it_is_the_id_of(copied: Path) -> None:
    place = copied / "facilities/baishi"
    place.mkdir(parents=True)
    overlay = "version: 1\nmappings: [ADT]\nchanges:\n  Coverage:\n    - {rule: class-id, remove: yes}\n"
    (place / "adt.yaml").write_text(overlay, encoding="utf-8")
    mappings = MappingSet.load(copied, ["baishi", "qingxi"])
    lines = pid(), segment("PV1", f2="I", f19="V1", f20="农合"), segment("IN1", f1="1", f2="330", f49="A1")
    assert made_of(registered(mappings, "qingxi", *lines)).count("Coverage") == 2
    assert made_of(registered(mappings, "baishi", *lines)).count("Coverage") == 1
    (place / "adt.yaml").write_text(overlay.replace("class-id", "clas-id"), encoding="utf-8")
    assert problems(copied, ["baishi"]) == [
        "facilities/baishi/adt.yaml:5: rule: Coverage has no rule 'clas-id'; did you mean 'class-id'?"
    ]


def made_of(mapped: Mapped) -> list[str]:
    return [each["resourceType"] for each in mapped.resources]


def test_what_others_refer_to_is_not_taken_out_and_the_check_says_what_to_do_instead(copied: Path) -> None:
    place = copied / "facilities/baishi"
    place.mkdir(parents=True)
    overlay = "version: 1\nmappings: [ADT]\nchanges:\n  Encounter:\n    - {rule: visit-id, remove: yes}\n"
    (place / "adt.yaml").write_text(overlay, encoding="utf-8")
    assert problems(copied, ["baishi"]) == [
        "facilities/baishi/adt.yaml:5: rule: the Encounter whose id 'visit-id' makes of "
        "PV1-19, PV1-44, PV1-2, MSH-9 is referred to (Encounter, Observation, Condition, Procedure): "
        "write this row with other fields, "
        "{rule: visit-id, from: …, with: visit_id}, or take this line out"
    ]


def test_a_facility_changes_rows_by_their_id_and_nobody_else_notices(overlaid: Path) -> None:
    mappings = MappingSet.load(overlaid, ["baishi", "qingxi"])
    lines = pid(f5="王^小东", f8="M", f13="1", f14="2"), "ZPD|1|小^东"
    changed, unchanged = registered(mappings, "baishi", *lines), registered(mappings, "qingxi", *lines)
    assert changed.resources[0]["telecom"] == [{"system": "phone", "value": "1", "use": "work"}]
    assert [name["text"] for name in changed.resources[0]["name"]] == ["王小东", "小东"]
    assert changed.resources[0]["gender"] == "unknown"
    assert changed.unmapped == ["PID-14", "ZPD-1"]
    assert [each["use"] for each in unchanged.resources[0]["telecom"]] == ["home", "work"]
    assert unchanged.resources[0]["gender"] == "male"
    assert unchanged.unmapped == ["ZPD-1", "ZPD-2"]


def test_what_is_wrong_with_a_table_of_a_facility_is_said_with_its_place(overlaid: Path) -> None:
    (overlaid / "facilities/baishi/tables/sex.csv").write_bytes("from,code\n男,male\n".encode("gb18030"))
    assert problems(overlaid, ["baishi"]) == [
        "facilities/baishi/tables/sex.csv: expected UTF-8 text; byte 10 is not: save it as CSV UTF-8"
    ]


def test_a_changed_mapping_has_another_label(overlaid: Path) -> None:
    mappings = MappingSet.load(overlaid, ["baishi"])
    labels = {found.label for facility in ("baishi", "qingxi") if (found := mappings.find("ADT^A04", facility))}
    assert len(labels) == 2
    assert {label.partition("+")[0] for label in labels} == {"ADT@1", "ADT@1/1"}


def test_removing_a_rule_that_is_not_there_is_refused_with_the_nearest(overlaid: Path, edit: Edit) -> None:
    line = edit("facilities/baishi/adt.yaml", "pid-14, remove", "pid-41, remove")
    found = problems(overlaid, ["baishi"])
    assert len(found) == 1
    assert found[0].startswith(f"facilities/baishi/adt.yaml:{line}:")
    assert "Patient has no rule 'pid-41'; did you mean 'pid-4'?" in found[0]


def test_a_facility_says_what_makes_the_id_of_its_visits(overlaid: Path) -> None:
    row = "  Encounter:\n    - {rule: visit-id, from: [PV1-18, PV1-44], with: visit_id}\n"
    (overlaid / "facilities/baishi/adt.yaml").write_text(OVERLAY + row, encoding="utf-8")
    mappings = MappingSet.load(overlaid, ["baishi", "qingxi"])
    lines = pid(), "PV1|1|O" + "|" * 16 + "MZ0001"
    made = {facility: registered(mappings, facility, *lines).resources for facility in ("baishi", "qingxi")}
    assert "Encounter" in {resource["resourceType"] for resource in made["baishi"]}
    assert "Encounter" not in {resource["resourceType"] for resource in made["qingxi"]}


def test_a_new_row_goes_where_its_segment_is_within_reach(overlaid: Path) -> None:
    (overlaid / "facilities/baishi/rde.yaml").write_text(
        "version: 1\nmappings: [RDE]\ngroups:\n  encoded: {holds: [ZRX]}\nchanges:\n  MedicationRequest:\n"
        "    - {rule: z-pays, from: ZRX-1, to: extension+, with: text_extension, as: 'urn:pays'}\n",
        encoding="utf-8",
    )
    mapping = MappingSet.load(overlaid, ["baishi"]).find("RDE^O11", "baishi")
    assert mapping is not None
    lines = (
        "MSH|^~\\&|HIS|F|H|H|20260401||RDE^O11|C1|P|2.5.1",
        pid(),
        "ORC|NW|R1",
        "RXO|A^a^L",
        "RXE||A^a^L",
        "ZRX|自费",
    )
    made = mapping.apply(er7.parse("".join(f"{line}\r" for line in lines).encode()), CONTEXT).resources
    requests = [each for each in made if each["resourceType"] == "MedicationRequest"]
    assert [each.get("extension") for each in requests if each["intent"] == "filler-order"] == [
        [{"url": "urn:pays", "valueString": "自费"}]
    ]
    assert [each.get("extension") for each in requests if each["intent"] != "filler-order"] == [None]


def test_a_table_of_a_facility_that_nothing_looks_into_is_refused_with_the_nearest(overlaid: Path) -> None:
    (overlaid / "facilities/baishi/tables/sex.csv").rename(overlaid / "facilities/baishi/tables/sexx.csv")
    (found,) = problems(overlaid, ["baishi"])
    assert found.startswith("facilities/baishi/tables/sexx.csv")
    assert "no table 'sexx' is looked into" in found
    assert "did you mean 'sex'?" in found


def test_a_table_of_its_own_that_a_row_of_the_facility_names_is_no_mistake(overlaid: Path) -> None:
    tables = overlaid / "facilities/baishi/tables"
    (tables / "sex.csv").rename(tables / "baishi_sex.csv")
    row = "    - {rule: pid-8, from: PID-8, to: gender, table: baishi_sex}\n"
    (overlaid / "facilities/baishi/adt.yaml").write_text(OVERLAY + row, encoding="utf-8")
    mappings = MappingSet.load(overlaid, ["baishi"])
    (patient, *_) = registered(mappings, "baishi", pid(f8="X")).resources
    assert patient["gender"] == "other"


def test_a_misspelt_table_beside_the_configuration_is_named_from_it(copied: Path, tmp_path: Path) -> None:
    own = tmp_path / "community" / "mappings"
    (own / "facilities/baishi/tables").mkdir(parents=True)
    (own / "facilities/baishi/tables/modality.csv").write_text("from,code\nDR,DX\n", encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as caught:
        MappingSet.load(copied, ["baishi"], own)
    (found,) = map(str, caught.value.problems)
    assert found.startswith("mappings/facilities/baishi/tables/modality.csv")
    assert "did you mean 'modalities'?" in found


def test_a_row_for_an_id_that_is_not_there_is_refused_with_the_nearest(overlaid: Path) -> None:
    row = "  Encounter:\n    - {rule: visit-ids, from: [PV1-18, PV1-44], with: visit_id}\n"
    (overlaid / "facilities/baishi/adt.yaml").write_text(OVERLAY + row, encoding="utf-8")
    (found,) = problems(overlaid, ["baishi"])
    assert found.startswith("facilities/baishi/adt.yaml:11:")
    assert "the id of Encounter has no rule 'visit-ids'; did you mean 'visit-id'?" in found


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


def test_a_wrong_row_of_an_outbound_mapping_is_named_with_its_line(copied: Path, edit: Edit) -> None:
    line = edit("hl7v2/ORU_R01/outbound.yaml", "with: patient_numbers", "with: patient_number")
    found = problems(copied)
    assert found == [
        f"hl7v2/ORU_R01/outbound.yaml:{line}: segments.rules.with: "
        "'patient_number' is not known; did you mean 'patient_numbers'?"
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


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An installation's own mappings: a facility that tests its row, and a code more for everybody."""
    place = tmp_path / "config/mappings"
    (place / "facilities/baishi").mkdir(parents=True)
    (place / "tables").mkdir()
    (place / "tables/sex.csv").write_text("from,code\nMAN,male\n", encoding="utf-8")
    (place / "facilities/baishi/adt.yaml").write_text(OVERLAY, encoding="utf-8")
    return place


def test_an_installation_has_mappings_of_its_own_over_those_of_the_distribution(folder: Path, own: Path) -> None:
    mappings = MappingSet.load(folder, ["baishi"], own)
    lines = pid(f5="王^小东", f8="MAN", f13="1"), "ZPD|1|小^东"
    patient = registered(mappings, "baishi", *lines).resources[0]
    assert patient["gender"] == "male"
    assert [name["text"] for name in patient["name"]] == ["王小东", "小东"]
    assert registered(mappings, "qingxi", *lines).resources[0]["gender"] == "male"
    assert {
        (result.file, result.failures[0].partition(":")[0]) for result in run_tests(folder, own) if result.failures
    } == {
        ("mappings/facilities/baishi/adt.yaml", "rule pid-13"),
        ("mappings/facilities/baishi/adt.yaml", "rule z-name"),
    }


def test_an_own_mapping_stands_for_the_one_of_its_name(folder: Path, own: Path) -> None:
    shutil.copytree(folder / "hl7v2/ADT_PERSON", own / "hl7v2/person")
    path = own / "hl7v2/person/mapping.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("version: 1", "version: own", 1), encoding="utf-8")
    found = MappingSet.load(folder, ["baishi"], own).find("ADT^A31", "baishi")
    assert found is not None
    assert found.label.startswith("ADT_PERSON@own+")


def test_a_mistake_in_an_own_file_is_named_with_its_folder(folder: Path, own: Path) -> None:
    path = own / "facilities/baishi/adt.yaml"
    path.write_text(OVERLAY.replace("with: person_name", "with: person_nam"), encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as caught:
        MappingSet.load(folder, ["baishi"], own)
    assert "mappings/facilities/baishi/adt.yaml:9" in str(caught.value)


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
