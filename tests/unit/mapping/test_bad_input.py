"""What real systems send that no specification allows: read where it has one meaning, told otherwise, never a crash."""

from __future__ import annotations

from typing import Any

import pytest

from engine.mapping import Mapped
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, pid, segment


def only(result: Mapped, kind: str) -> dict[str, Any]:
    found = [each for each in result.resources if each["resourceType"] == kind]
    assert len(found) == 1
    return found[0]


def test_forty_numbers_of_one_patient_are_kept_and_the_facilitys_own_says_who_it_is(mapped: Map) -> None:
    numbers = "~".join(f"C{number}^^^HIS{number}^PT" for number in range(39))
    patient = only(mapped("ADT^A04", pid(f3=f"{numbers}~M1^^^HIS^MR")), "Patient")
    alone = only(mapped("ADT^A04", pid(f3="M1^^^HIS^MR")), "Patient")
    assert [each["value"] for each in patient["identifier"]] == [*(f"C{number}" for number in range(39)), "M1"]
    assert patient["id"] == alone["id"]


def test_one_number_forty_times_is_one_number(mapped: Map) -> None:
    patient = only(mapped("ADT^A04", pid(f3="~".join(["M1^^^HIS^MR"] * 40))), "Patient")
    assert [each["value"] for each in patient["identifier"]] == ["M1"]


def test_a_sex_behind_the_name_is_no_name(mapped: Map) -> None:
    result = mapped("ADT^A04", pid(f5="张三^男"))
    assert only(result, "Patient")["name"] == [{"text": "张三", "family": "张三"}]
    assert [f.code for f in result.findings] == ["name-holds-sex"]


def test_full_width_digits_are_digits(mapped: Map) -> None:
    number = segment("OBX", f1="1", f2="NM", f3="G^葡萄糖^L", f5="５．１０", f6="mmol/L", f11="F")
    result = mapped("ORU^R01", pid(f7="１９４９１２３１", f19="１１０１０５１９４９１２３１００２Ｘ"), obr(), number)
    patient, found = only(result, "Patient"), only(result, "Observation")
    assert patient["birthDate"] == "1949-12-31"
    assert "11010519491231002X" in [each["value"] for each in patient["identifier"]]
    assert str(found["valueQuantity"]["value"]) == "5.10"
    assert {f.code for f in result.findings} == {"time-format", "number-format"}


@pytest.mark.parametrize(
    "line",
    [
        "ORC|NW|O1||||||||N^" + "&" * 200 + "|" * 30,
        "PRT|1|AD||^^^^^^^|" + "~" * 300,
        "ROL|||PP|~~~^~|9999|0000|||^|^|" + "~" * 100,
        "ZDS|" + "1." * 5000,
        "IPC|||||" + "^" * 1000,
        'NTE|1|L|""|""|""|""',
    ],
)
def test_an_order_with_a_hostile_segment_is_an_order(mapped: Map, line: str) -> None:
    kinds = [each["resourceType"] for each in mapped("ORM^O01", pid(), "ORC|NW|O1", obr(), line).resources]
    assert "Patient" in kinds
    assert "ServiceRequest" in kinds


@pytest.mark.parametrize("at", ["昨天", "20261301", "2026-13-01", '""', "00000000", "99999999999999", "１"])
def test_an_event_at_no_time_is_still_told_of_by_whoever_told(mapped: Map, at: str) -> None:
    result = mapped("ADT^A04", f"EVN|A04|{at}|||N1^钱^护士|{at}|卫生院", pid())
    provenance = only(result, "Provenance")
    assert provenance["recorded"] == "2026-04-01T08:30:00+08:00"
    assert provenance.get("occurredDateTime") is None
    assert provenance["agent"][0]["who"]["display"] == "钱护士"


@pytest.mark.parametrize("field", [10, 11, 18, 19])
@pytest.mark.parametrize("nobody", ["^", '""', "^^^", "^^^^^^^^医院", "~N1^钱^护士", " ^ "])
def test_an_order_entered_by_nobody_has_no_provenance(mapped: Map, field: int, nobody: str) -> None:
    result = mapped("ORM^O01", pid(), segment("ORC", **{"f1": "NW", "f2": "PL1", f"f{field}": nobody}), obr())
    assert "Provenance" not in [each["resourceType"] for each in result.resources]
