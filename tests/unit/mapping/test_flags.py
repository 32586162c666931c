"""A flag that contradicts its own number and reference range is told, once for each way, and stays as it was sent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codecs import er7
from engine.finding import Finding, Severity
from engine.mapping import Mapped, MappingSet
from engine.mapping.doubted import with_values
from engine.mapping.flags import CODE, Contradiction, Direction, contradiction
from tests.unit.mapping.conftest import CONTEXT, FOLDER, Map
from tests.unit.mapping.segments import obr, obx, pid

OPPOSITE, INSIDE, OUTSIDE = Contradiction.OPPOSITE, Contradiction.INSIDE, Contradiction.OUTSIDE


def told(mapped: Mapped) -> list[Finding]:
    return [finding for finding in mapped.findings if finding.code == CODE]


def of_one(mapped: Map, value: str, limits: str, flag: str, kind: str = "NM", unit: str = "mmol/L") -> str:
    """What is told of one result; empty for nothing."""
    found = told(mapped("ORU^R01", pid(), obr(), obx(kind, value, f6=unit, f7=limits, f8=flag)))
    return found[0].text.split(".")[0] if found else ""


@pytest.mark.parametrize(
    ("value", "limits", "flag", "expected"),
    [
        ("1.8", "3.9-6.1", "HH", OPPOSITE),
        ("7.9", "3.9-6.1", "L", OPPOSITE),
        ("7.9", "3.9-6.1", "偏低", OPPOSITE),
        ("7.9", "3.9-6.1", "↓↓", OPPOSITE),
        ("5.0", "3.9-6.1", "H", INSIDE),
        ("5.0", "3.9-6.1", "偏低", INSIDE),
        ("7.9", "3.9-6.1", "N", OUTSIDE),
        ("1.8", "3.9-6.1", "正常", OUTSIDE),
        ("1.8", "3.9-6.1", "N^正常", OUTSIDE),
        ("7.9", "3.9-6.1", "H", ""),
        ("1.8", "3.9-6.1", "LL", ""),
        ("5.0", "3.9-6.1", "N", ""),
        ("7.9", "3.9-6.1", "", ""),
    ],
)
def test_a_flag_is_compared_with_its_number_and_range(
    mapped: Map, value: str, limits: str, flag: str, expected: str
) -> None:
    assert of_one(mapped, value, limits, flag) == expected


@pytest.mark.parametrize(
    "limits",
    [
        "3.9-6.1",
        "3.9--6.1",
        "3.9～6.1",
        "3.9~6.1",
        "3.9—6.1",
        "3.9——6.1",
        "３．９－６．１",
        "3.9 - 6.1",
        "3.9至6.1",
        "(3.9-6.1)",
        "[3.9-6.1]",
        "3.9-6.1mmol/L",
        "3.9-6.1 mmol/L",
        "3.9－6.1 ＭＭＯＬ／Ｌ",
        ">3.9",
        "≥3.90",
        ">= 3.9",
    ],
)
def test_a_range_is_read_in_the_forms_in_which_it_is_sent(mapped: Map, limits: str) -> None:
    assert of_one(mapped, "1.8", limits, "N") == OUTSIDE
    assert of_one(mapped, "1.8", limits, "L") == ""


@pytest.mark.parametrize("limits", ["<5", "＜5", "≤5.0", "<=5", "0-5", "0～5", "-3-5", "-2.5—5.0"])
def test_a_range_may_have_one_limit_or_begin_below_zero(mapped: Map, limits: str) -> None:
    assert of_one(mapped, "7", limits, "N") == OUTSIDE
    assert of_one(mapped, "3", limits, "H") == INSIDE
    assert of_one(mapped, "7", limits, "H") == ""


@pytest.mark.parametrize(
    "limits",
    [
        "",
        '""',
        "男:3.9-6.1 女:3.5-5.9",
        "男3.9-6.1",
        "成人 3.9-6.1",
        "3.9-6.1;4.1-6.3",
        "3.9-6.1^3.5-5.9",
        "70-110mg/dL",
        "阴性",
        "1:10",
        "-",
        "--",
        "0-0",
        "6.1-3.9",
        "-3--1",
        "2026-04-01",
        "3.9-6.1" * 40,
    ],
)
def test_nothing_is_said_of_a_range_that_cannot_surely_be_read(mapped: Map, limits: str) -> None:
    assert of_one(mapped, "1.8", limits, "HH") == ""
    assert of_one(mapped, "99", limits, "N") == ""


@pytest.mark.parametrize(
    ("value", "kind", "flag", "expected"),
    [
        ("<0.01", "NM", "N", OUTSIDE),
        ("<0.01", "NM", "H", OPPOSITE),
        ("<0.01", "ST", "L", ""),
        (">1000", "ST", "N", OUTSIDE),
        (">1000", "NM", "L", OPPOSITE),
        (">1000", "NM", "HH", ""),
        ("<^0.01", "SN", "H", OPPOSITE),
        ("^1.8", "SN", "H", OPPOSITE),
        ("=^1.8", "SN", "H", OPPOSITE),
        ("^1^-^2", "SN", "H", ""),
        ("１．８", "NM", "H", OPPOSITE),
        ("1.8", "", "H", OPPOSITE),
        ("1.8~7.9", "NM", "H", ""),
        ("1.8-2.0", "NM", "H", ""),
        ("未检出", "ST", "H", ""),
        ("1.8^x", "CE", "H", ""),
        ("20260401", "DT", "N", ""),
        ('""', "NM", "H", ""),
        ("9" * 200, "NM", "N", ""),
        ("nan", "NM", "N", ""),
    ],
)
def test_a_number_is_read_with_its_comparator_or_not_at_all(
    mapped: Map, value: str, kind: str, flag: str, expected: str
) -> None:
    assert of_one(mapped, value, "3.9-6.1", flag, kind) == expected


@pytest.mark.parametrize(
    ("value", "flag"), [("6.1", "H"), ("3.9", "L"), ("6", "H"), ("6.1", "N"), ("3.9", "N"), ("4", "L"), ("6.12", "H")]
)
def test_nothing_is_said_where_rounding_may_have_brought_the_number_to_a_limit(
    mapped: Map, value: str, flag: str
) -> None:
    assert of_one(mapped, value, "3.9-6.1", flag) == ""


def test_a_count_of_nothing_is_no_contradiction_at_the_lower_limit(mapped: Map) -> None:
    assert of_one(mapped, "0", "0-5", "L") == ""


@pytest.mark.parametrize("flag", ["A", "AA", "<", ">", "U", "D", "POS", "NEG", "升高了", "H~L", "^H", '""', "S"])
def test_nothing_is_said_of_a_flag_that_says_nothing_of_the_range(mapped: Map, flag: str) -> None:
    assert of_one(mapped, "1.8", "3.9-6.1", flag) == ""
    assert of_one(mapped, "99", "3.9-6.1", flag) == ""


@pytest.mark.parametrize(
    ("limits", "unit"),
    [
        (r"3.5-9.5×10\S\9/L", "10^9/L"),
        (r"3.5-9.5 10\S\9/L", r"10\S\9/L"),
        ("3.5-9.5×10*9/L", "10*9/L^10*9/L^UCUM"),
        ("3.5-9.5 个/HP", "个/HP"),
    ],
)
def test_a_unit_behind_the_range_is_left_out_where_it_is_the_one_of_the_result(
    mapped: Map, limits: str, unit: str
) -> None:
    assert of_one(mapped, "12.1", limits, "N", unit=unit) == OUTSIDE


def test_it_is_a_warning_that_names_field_and_rule_and_repeats_no_value(mapped: Map) -> None:
    (finding,) = told(mapped("ORU^R01", pid(), obr(), obx("NM", "1.83", f6="mmol/L", f7="3.94-6.17", f8="HH")))
    assert (finding.severity, finding.location, finding.rule) == (Severity.WARNING, "OBX-8", "obx-8")
    assert not any(part in finding.text for part in ("1.83", "3.94", "6.17", "HH", "GLU", "葡萄糖"))


def test_the_flag_and_everything_else_stay_as_they_were_sent(mapped: Map) -> None:
    found = mapped("ORU^R01", pid(), obr(), obx("NM", "1.8", f6="mmol/L", f7="3.9-6.1", f8="HH"))
    (result,) = [each for each in found.resources if each["resourceType"] == "Observation"]
    assert result["interpretation"][0]["coding"][0]["code"] == "HH"
    assert result["valueQuantity"]["value"] == Decimal("1.8")


def test_each_way_is_told_once_for_a_message_and_names_every_place(mapped: Map) -> None:
    lines = [
        obx("NM", "1.8", f3="GLU", f7="3.9-6.1", f8="HH"),
        obx("NM", "5.0", f3="K", f7="3.5-5.3", f8="N"),
        obx("NM", "1.8", f3="NA", f7="3.9-6.1", f8="H"),
        obx("NM", "9.9", f3="CL", f7="3.9-6.1", f8="N"),
    ]
    found = told(mapped("ORU^R01", pid(), obr(), *lines))
    assert [(finding.location, "OBX[3]-8" in finding.text) for finding in found] == [
        ("OBX[1]-8", True),
        ("OBX[4]-8", False),
    ]


def test_a_message_of_hundreds_of_contradictions_is_one_finding_of_some_length(mapped: Map) -> None:
    lines = [obx("NM", "1.8", f3=f"T{number}", f7="3.9-6.1", f8="HH") for number in range(300)]
    (finding,) = told(mapped("ORU^R01", pid(), obr(), *lines))
    assert len(finding.text) < 400


def test_the_same_results_are_known_again_and_others_are_not(mappings: MappingSet) -> None:
    def value(number: str, time: str = "", code: str = "GLU") -> str:
        line = obx("NM", number, f3=code, f7="3.9-6.1", f8="HH", f14=time)
        payload = f"MSH|^~\\&|LIS|BS|H|Q|20260401083000||ORU^R01|C1|P|2.5.1\r{pid()}\r{obr()}\r{line}\r".encode()
        message = er7.parse(payload, "utf-8")
        mapping = mappings.find("ORU^R01", "baishi")
        assert mapping is not None
        (found,) = with_values(message, told(mapping.apply(message, CONTEXT)))
        return found.value

    assert value("1.8") == value("1.8", "20260401080000") != ""
    assert len({value("1.8"), value("1.7"), value("1.8", code="K")}) == 3


def test_an_observation_of_a_registration_is_compared_as_well(mapped: Map) -> None:
    visit = "PV1|1|I||||||||||||||||||V1"
    line = obx("NM", "200", f3="SBP^收缩压", f6="mm[Hg]", f7="90-140", f8="L", f14="20260401080000")
    assert [finding.location for finding in told(mapped("ADT^A01", pid(), visit, line))] == ["OBX-8"]


def test_unusual_separators_change_nothing(mappings: MappingSet) -> None:
    payload = "MSH$*~!&$LIS$BS$H$Q$20260401083000$$ORU*R01$C1$P$2.5.1\rPID$$$P1***HIS*MR\rOBR$$PL1$FL1$C\r"
    message = er7.parse(f"{payload}OBX$1$NM$GLU**L$$1.8$mmol/L$3.9-6.1$HH*危急$$$F\r".encode(), "utf-8")
    mapping = mappings.find("ORU^R01", "baishi")
    assert mapping is not None
    assert len(told(mapping.apply(message, CONTEXT))) == 1


ROW = "    - {rule: obx-8, from: OBX-8, to: interpretation+, with: concept, table: interpretation%s}\n"
CHANGES = {
    "baishi": "    - {rule: obx-4, remove: yes}\n",
    "qingxi": ROW.replace("OBX-8", "OBX-13") % "",
    "liushu": ROW % ", as: other-limits",
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> MappingSet:
    """Three facilities: a table of its own, the flag in another field, flags by other limits."""
    own = tmp_path_factory.mktemp("own") / "mappings"
    for facility, rows in CHANGES.items():
        folder = own / "facilities" / facility
        (folder / "tables").mkdir(parents=True)
        (folder / "oru.yaml").write_text(f"version: 1\nmappings: [ORU_R01]\nchanges:\n  Observation:\n{rows}")
    (own / "facilities" / "baishi" / "tables" / "interpretation.csv").write_text("from,code\n1,L\n")
    return MappingSet.load(FOLDER, list(CHANGES), own)


def applied(mappings: MappingSet, line: str, facility: str = "baishi") -> Mapped:
    payload = f"MSH|^~\\&|LIS|BS|H|Q|20260401083000||ORU^R01|C1|P|2.5.1\r{pid()}\r{obr()}\r{line}\r".encode()
    message = er7.parse(payload, "utf-8")
    mapping = mappings.find("ORU^R01", facility)
    assert mapping is not None
    return mapping.apply(message, CONTEXT)


def test_a_flag_means_what_the_table_of_the_facility_says(changed: MappingSet) -> None:
    assert len(told(applied(changed, obx("NM", "9.9", f7="3.9-6.1", f8="1")))) == 1
    assert told(applied(changed, obx("NM", "1.8", f7="3.9-6.1", f8="1"))) == []


def test_a_flag_is_looked_for_where_the_facility_sends_it(changed: MappingSet) -> None:
    (finding,) = told(applied(changed, obx("NM", "9.9", f7="3.9-6.1", f8="N", f13="L"), "qingxi"))
    assert finding.location == "OBX-13"


def test_a_laboratory_may_flag_by_other_limits_than_it_prints(changed: MappingSet) -> None:
    found = applied(changed, obx("NM", "9.9", f7="3.9-6.1", f8="L"), "liushu")
    assert told(found) == []
    assert any("interpretation" in each for each in found.resources)


@given(
    flag=st.sampled_from(["H", "L", "N", "偏高", "HH~L", "^", "&"]),
    limits=st.text(alphabet="0123456789.-~<>≤≥ ()[]～—^&\\mgL男", max_size=20),
    value=st.text(alphabet='0123456789.-+<>=^~&eE\\"', max_size=20),
    kind=st.sampled_from(["NM", "SN", "ST", "", "CE"]),
)
def test_no_text_breaks_a_message(mappings: MappingSet, flag: str, limits: str, value: str, kind: str) -> None:
    assert len(told(applied(mappings, obx(kind, value, f6="mmol/L", f7=limits, f8=flag)))) <= 1


@given(value=st.decimals(-50, 50, places=2), low=st.decimals(-50, 0, places=2), high=st.decimals("0.5", 50, places=2))
def test_a_number_contradicts_no_more_than_two_of_the_three_flags(value: Decimal, low: Decimal, high: Decimal) -> None:
    found = [contradiction(each, value, value, low, high) for each in Direction]
    assert 1 <= sum(each is not None for each in found) <= 2
