"""Units: what people write becomes the code of UCUM where it can mean one thing only; else it stays as it came."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from engine.mapping import MappingSet
from engine.mapping.functions.units import UCUM, normal, ucum
from engine.terminology import Tables
from tests.unit.mapping.conftest import FOLDER, Map
from tests.unit.mapping.segments import obr, obx, pid, segment
from tests.unit.mapping.test_lens import lines, read, written
from tests.unit.mapping.test_messages_of_others import validate


def result(mapped: Map, unit: str, kind: str = "NM", value: str = "5") -> tuple[dict[str, Any], list[str]]:
    found = mapped("ORU^R01", pid(), obr(), obx(kind, value, f6=unit))
    made = next(each for each in found.resources if each["resourceType"] == "Observation")
    validate(made)
    return made, [finding.code for finding in found.findings]


@pytest.mark.parametrize(
    ("written_so", "code"),
    [
        ("mmol/L", "mmol/L"),
        ("MMOL/L", "mmol/L"),
        ("mmol / L", "mmol/L"),
        ("ｍｍｏｌ／Ｌ", "mmol/L"),
        ("毫摩尔/升", "mmol/L"),
        ("微摩尔/升", "umol/L"),
        ("umol/L", "umol/L"),
        ("\u00b5mol/L", "umol/L"),
        ("\u03bcmol/L", "umol/L"),
        ("单位/升", "U/L"),
        ("国际单位/升", "[IU]/L"),
        ("IU/mL", "[IU]/mL"),
        ("mIU/L", "m[IU]/L"),
        ("μIU/ml", "u[IU]/mL"),
        ("克/升", "g/L"),
        ("g/L", "g/L"),
        ("毫克/升", "mg/L"),
        ("ng/ml", "ng/mL"),
        ("次/分", "/min"),
        ("次/分钟", "/min"),
        ("mmHg", "mm[Hg]"),
        ("毫米汞柱", "mm[Hg]"),
        ("10^9/L", "10*9/L"),
        ("10*9/L", "10*9/L"),
        ("×10⁹/L", "10*9/L"),
        ("x10^9/L", "10*9/L"),
        ("10E9/L", "10*9/L"),
        ("10⁹／L", "10*9/L"),
        ("10^9个/L", "10*9/L"),
        ("10^12/L", "10*12/L"),
        ("×10^3/μL", "10*3/uL"),
        ("个/μL", "/uL"),
        ("个/HP", "/[HPF]"),
        ("%", "%"),
        ("％", "%"),
        ("fl", "fL"),
        ("pg", "pg"),
        ("秒", "s"),
        ("s", "s"),
        ("℃", "Cel"),
        ("㎎/L", "mg/L"),
        ("mm/h", "mm/h"),
        ("mg/24h", "mg/(24.h)"),
        ("mmol/L^mmol/L^99LAB", "mmol/L"),
        ("Z17^毫摩尔/升^99LAB", "mmol/L"),
        ("^mmol/L", "mmol/L"),
        ("mmol/l^^UCUM", "mmol/l"),
        ("10^9/L^10^9/L^UCUM", "10*9/L"),
        ("mmHg^mmHg^UCUM", "mm[Hg]"),
        ("{beats}/min^^UCUM", "{beats}/min"),
    ],
)
def test_what_can_mean_one_unit_only_gets_its_code(mapped: Map, written_so: str, code: str) -> None:
    made, findings = result(mapped, written_so)
    assert (made["valueQuantity"]["system"], made["valueQuantity"]["code"]) == (UCUM, code)
    assert made["valueQuantity"]["unit"]
    assert findings == []


@pytest.mark.parametrize(
    "unit", ["G/L", "S", "MIU/L", "MPa.s", "H", "U", "单位", "100/L", "10/L", "S/COX", "阳性", "mM"]
)
def test_what_could_mean_another_unit_stays_text_and_somebody_is_told_once(mapped: Map, unit: str) -> None:
    made, findings = result(mapped, unit)
    assert made["valueQuantity"] == {"value": 5, "unit": unit}
    assert findings == ["unit-unmapped"]
    found = mapped("ORU^R01", pid(), obr(), obx("NM", "5", f6=unit), obx("NM", "6", f3="B^B^L", f6=unit)).findings
    assert len({finding.once for finding in found}) == 1


def test_what_is_no_unit_is_not_repeated_in_the_finding(mapped: Map) -> None:
    found = mapped("ORU^R01", pid(), obr(), obx("NM", "5", f6="13987654321"), obx("NM", "5", f3="B^B^L", f6="张" * 30))
    assert [finding.once for finding in found.findings] == ["units", "units"]
    assert not any("139" in finding.text or "张" in finding.text for finding in found.findings)


@pytest.mark.parametrize(
    ("kind", "value"), [("SN", "<^5"), ("NM", "<5"), ("ST", "<5"), ("NM", "5"), ("SN", "^1^-^5"), ("NR", "1^5")]
)
def test_every_kind_of_number_has_the_unit(mapped: Map, kind: str, value: str) -> None:
    made, _ = result(mapped, "毫摩尔/升", kind, value)
    quantity = made.get("valueQuantity") or made["valueRange"]["high"]
    assert {key: quantity[key] for key in ("value", "unit", "code")} == {
        "value": 5,
        "unit": "毫摩尔/升",
        "code": "mmol/L",
    }


def test_a_quantity_that_brings_its_unit_has_the_code_too(mapped: Map) -> None:
    made, _ = result(mapped, "", "CQ", "5^克/升")
    assert made["valueQuantity"] == {"value": 5, "unit": "克/升", "system": UCUM, "code": "g/L"}


def test_words_with_a_unit_that_nobody_knows_tell_nobody_of_the_unit(mapped: Map) -> None:
    made, findings = result(mapped, "滴", "ST", "阴性")
    assert (made["valueString"], findings) == ("阴性", [])


def test_a_dose_in_a_unit_that_ucum_lacks_is_as_it_came(mapped: Map) -> None:
    def dose(unit: str) -> dict[str, Any]:
        rxe = segment("RXE", f2="YP1^药^L", f3="5", f5=unit, f15="R1")
        found = mapped("RDE^O11", pid(), "ORC|NW|C1", rxe)
        assert [finding.code for finding in found.findings] == []
        made = next(each for each in found.resources if each["resourceType"] == "MedicationRequest")
        validate(made)
        quantity: dict[str, Any] = made["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]
        return quantity

    assert dose("mg") == {"value": 5, "unit": "mg", "system": UCUM, "code": "mg"}
    assert dose("片") == {"value": 5, "unit": "片"}
    assert dose("TAB^片^99U")["code"] == "TAB"


def test_a_unit_is_written_with_its_code_and_read_as_the_same(mapped: Map, mappings: MappingSet) -> None:
    before, _ = result(mapped, "毫摩尔/升")
    resources = mapped("ORU^R01", pid(), obr(), obx("NM", "5", f6="毫摩尔/升")).resources
    message = written(mappings, "ORU^R01", resources)
    assert next(line for line in lines(message) if line.startswith("OBX")).split("|")[6] == "mmol/L^毫摩尔/升^UCUM"
    again = next(each for each in read(mappings, message.payload).resources if each["resourceType"] == "Observation")
    assert again["valueQuantity"] == before["valueQuantity"]


def test_a_facility_says_what_its_own_units_are(tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text("from,code\n微摩/L,umol/L\nU,[IU]\nG/L,10*9/L\n", encoding="utf-8")
    table = Tables.load(FOLDER / "tables").with_tables(Tables.load(tmp_path))["units"]
    assert [ucum(unit, table) for unit in ("微摩/L", "U", "G/L", "mmol/L")] == ["umol/L", "[IU]", "10*9/L", "mmol/L"]


def test_the_table_has_each_unit_as_it_is_looked_for() -> None:
    with (FOLDER / "tables" / "units.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["from"] for row in rows if normal(row["from"]) != row["from"]] == []
    assert {row["case"] for row in rows} == {"", "exact"}
    codes = [row["code"] for row in rows]
    assert all(code.isascii() and " " not in code and "^" not in code for code in codes)


@pytest.mark.parametrize("unit", ["", " ", '""', "^", "10^", "^^^^^^^^^^", "\\", "1" * 5000, "/" * 300, "10" * 300])
def test_a_field_that_holds_no_unit_breaks_nothing(mapped: Map, unit: str) -> None:
    made, _ = result(mapped, unit)
    assert made["valueQuantity"]["value"] == 5
