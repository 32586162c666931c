"""A facility changes what it does otherwise, row by row; nobody else notices, and what is wrong with it is said."""

from __future__ import annotations

from pathlib import Path

from engine.codecs import er7
from engine.mapping import Mapped, MappingSet
from tests.unit.mapping.conftest import CONTEXT, OVERLAY, Edit
from tests.unit.mapping.folders import problems, registered
from tests.unit.mapping.segments import pid, segment


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


def test_a_row_for_an_id_that_is_not_there_is_refused_with_the_nearest(overlaid: Path) -> None:
    row = "  Encounter:\n    - {rule: visit-ids, from: [PV1-18, PV1-44], with: visit_id}\n"
    (overlaid / "facilities/baishi/adt.yaml").write_text(OVERLAY + row, encoding="utf-8")
    (found,) = problems(overlaid, ["baishi"])
    assert found.startswith("facilities/baishi/adt.yaml:11:")
    assert "the id of Encounter has no rule 'visit-ids'; did you mean 'visit-id'?" in found
