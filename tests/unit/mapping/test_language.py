"""What rows may say beyond the usual: entries of lists, references below an element, every segment of a group."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.config import InvalidConfiguration
from engine.mapping import MappingSet
from engine.mapping.mapped import Mapped
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid

TXA = "TXA|1|DS^小结^L||||20260401093000||||||D1|||||AU"


def one(result: Mapped, kind: str) -> dict[str, Any]:
    (found,) = [each for each in result.resources if each["resourceType"] == kind]
    return found


def test_rows_of_one_entry_of_a_list_fill_that_entry_together(mapped: Map) -> None:
    found = one(mapped("RDE^O11", pid(), "ORC|NW|P1", "RXE||A^b^L|1||片", "RXR|PO|MTH"), "MedicationRequest")
    (dosage,) = found["dosageInstruction"]
    assert set(dosage) == {"doseAndRate", "route", "site"}


def test_a_deletion_within_an_entry_of_a_list_leaves_no_null_behind(mapped: Map) -> None:
    found = one(mapped("RDE^O11", pid(), "ORC|NW|P1", "RXE||A^b^L|1||片", 'RXR|""|MTH'), "MedicationRequest")
    assert "route" not in found["dosageInstruction"][0]


def test_references_may_stand_below_an_element(mapped: Map) -> None:
    visit = "PV1|1|I|||||||||||||||||V1"
    found = one(mapped("MDM^T01", pid(), visit, "ORC|RE|O1", "OBR|1|O1||X^y^L", TXA), "DocumentReference")
    assert {name: len(those) for name, those in found["context"].items()} == {"encounter": 1, "related": 1}


def test_a_resource_of_which_several_entries_speak_is_referred_to_once(mapped: Map) -> None:
    found = one(mapped("SIU^S12", "SCH||A1", pid()), "Appointment")
    assert len(found["participant"]) == 1


def test_a_function_that_gathers_gets_every_segment_in_order(mapped: Map) -> None:
    lines = [f"NTE|{number}||注{number}" for number in (1, 2, 3)]
    found = one(mapped("SIU^S12", "SCH||A1", *lines, pid()), "Appointment")
    notes = [each["valueAnnotation"]["text"] for each in found["extension"] if "valueAnnotation" in each]
    assert notes == ["注1", "注2", "注3"]


def test_a_segment_finds_its_group_however_many_around_it_are_missing(mapped: Map) -> None:
    found = one(mapped("RDS^O13", pid(), "RXD|1|A^b^L|20260401|1|||CF1"), "MedicationDispense")
    assert found["quantity"] == {"value": 1}


def test_a_mapping_that_needs_a_segment_of_no_group_is_refused(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "mappings"
    shutil.copytree(folder, copied)
    path = copied / "hl7v2" / "MDM" / "mapping.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("needs: [TXA]\n", "needs: [TXB]\n"), encoding="utf-8")
    with pytest.raises(InvalidConfiguration) as refused:
        MappingSet.load(copied, [])
    assert "no group holds segment TXB" in str(refused.value)
