"""Values of results: numbers keep their digits, and what is not what it says is kept as text with a finding."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from engine.codecs import fhir_json
from engine.errors import MappingError
from engine.finding import Severity
from engine.mapping.functions.units import UCUM
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid

UNIT = {"unit": "%", "system": UCUM, "code": "%"}


def observation(mapped: Map, *segments: str) -> tuple[dict[str, Any], list[str]]:
    result = mapped("ORU^R01", pid(), obr(), *segments)
    found = next(r for r in result.resources if r["resourceType"] == "Observation")
    return found, [finding.code for finding in result.findings]


@pytest.mark.parametrize("digits", ["5.10", "0.0", "-3.50", "100", "0.0000001", "12345678901234567890.10"])
def test_a_number_keeps_its_digits_to_the_json(mapped: Map, digits: str) -> None:
    found, findings = observation(mapped, obx("NM", digits, f6="mmol/L"))
    assert str(found["valueQuantity"]["value"]) == str(Decimal(digits))
    again = fhir_json.loads(fhir_json.dumps(found))
    assert again["valueQuantity"]["value"] == Decimal(digits)
    assert Decimal(str(again["valueQuantity"]["value"])).as_tuple() == Decimal(digits).as_tuple()
    assert findings == []


@pytest.mark.parametrize(
    ("kind", "value", "expected", "findings"),
    [
        ("NM", "+5", {"valueQuantity": {"value": Decimal(5), **UNIT}}, []),
        ("NM", "５.１０", {"valueQuantity": {"value": Decimal("5.10"), **UNIT}}, ["number-format"]),
        ("NM", "<0.5", {"valueQuantity": {"value": Decimal("0.5"), "comparator": "<", **UNIT}}, ["number-format"]),
        ("NM", "≥10", {"valueQuantity": {"value": Decimal(10), "comparator": ">=", **UNIT}}, ["number-format"]),
        ("NM", "1,234", {"valueString": "1,234"}, ["number-unreadable"]),
        (
            "NM",
            "2-5",
            {"valueRange": {"low": {"value": Decimal(2), **UNIT}, "high": {"value": Decimal(5), **UNIT}}},
            ["number-format"],
        ),
        ("NM", "5-2", {"valueString": "5-2"}, ["number-unreadable"]),
        ("NM", "1E5", {"valueString": "1E5"}, ["number-unreadable"]),
        ("NM", "NaN", {"valueString": "NaN"}, ["number-unreadable"]),
        ("NM", "阴性", {"valueString": "阴性"}, ["number-unreadable"]),
        ("NM", "5~6", {"valueString": "5\n6"}, ["number-unreadable"]),
        ("NM", "9" * 100, {"valueString": "9" * 100}, ["number-unreadable"]),
        ("SN", "^5.0", {"valueQuantity": {"value": Decimal("5.0"), **UNIT}}, []),
        ("SN", ">^5", {"valueQuantity": {"value": Decimal(5), "comparator": ">", **UNIT}}, []),
        (
            "SN",
            "^1^-^2",
            {"valueRange": {"low": {"value": Decimal(1), **UNIT}, "high": {"value": Decimal(2), **UNIT}}},
            [],
        ),
        (
            "SN",
            "^1^:^64",
            {
                "valueRatio": {
                    "numerator": {"value": Decimal(1), **UNIT},
                    "denominator": {"value": Decimal(64), **UNIT},
                }
            },
            [],
        ),
        ("SN", "^2^+", {"valueString": "2 + %"}, ["number-unreadable"]),
        (
            "NR",
            "1^10",
            {"valueRange": {"low": {"value": Decimal(1), **UNIT}, "high": {"value": Decimal(10), **UNIT}}},
            [],
        ),
        ("ST", "未见^异常", {"valueString": "未见^异常"}, []),
        ("TX", "第一行~第二行", {"valueString": "第一行\n第二行"}, []),
        ("FT", "一\\.br\\二", {"valueString": "一\n二"}, []),
        ("CE", "A^A型^L", {"valueCodeableConcept": {"text": "A型"}}, []),
        ("IS", "P", {"valueCodeableConcept": {}}, []),
        ("DT", "20260401", {"valueDateTime": "2026-04-01"}, []),
        ("TM", "0830", {"valueTime": "08:30:00"}, []),
        ("TM", "2561", {"valueString": "2561"}, ["time-unreadable"]),
        ("DR", "20260401^20260402", {"valuePeriod": {"start": "2026-04-01", "end": "2026-04-02"}}, []),
        (
            "CQ",
            "5.10^mL",
            {"valueQuantity": {"value": Decimal("5.10"), "unit": "mL", "system": UCUM, "code": "mL"}},
            [],
        ),
        ("CQ", "许多", {"valueString": "许多"}, ["number-unreadable"]),
        ("XX", "什么", {"valueString": "什么"}, ["value-type-unknown"]),
        ("RP", "https://example.org/1^^image^JPEG", {}, []),
    ],
)
def test_a_value_is_what_its_type_says_or_text(
    mapped: Map, kind: str, value: str, expected: dict[str, Any], findings: list[str]
) -> None:
    found, codes = observation(mapped, obx(kind, value, f6="%"))
    values = {key: item for key, item in found.items() if key.startswith("value")}
    for item in values.values():
        if isinstance(item, dict):
            item.pop("coding", None)
    assert values == expected
    assert codes == findings


def test_several_coded_values_are_components(mapped: Map) -> None:
    found, _ = observation(mapped, obx("CWE", "A^甲^L~B^乙^L"))
    assert [part["valueCodeableConcept"]["text"] for part in found["component"]] == ["甲", "乙"]


def test_an_embedded_document_is_an_attachment(mapped: Map) -> None:
    data = base64.b64encode(b"%PDF-1.4").decode()
    found, codes = observation(mapped, obx("ED", f"LIS^AP^PDF^Base64^{data}"))
    attachment = found["extension"][0]["valueAttachment"]
    assert (attachment["contentType"], attachment["data"], codes) == ("application/pdf", data, [])


def test_embedded_data_that_is_no_base64_is_said_to_be_missing(mapped: Map) -> None:
    found, codes = observation(mapped, obx("ED", "LIS^AP^PDF^Base64^!!!!"))
    assert found["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert codes == ["embedded-data-unreadable"]


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("3.90-6.10", "3.90", "6.10"),
        ("3.5--5.3", "3.5", "5.3"),
        ("<10.0", None, "10.0"),
        ("≥60", "60", None),
        ("阴性", None, None),
        ("-1.5-1.5", "-1.5", "1.5"),
        ("-5--1", None, None),
        ("-5~-1", "-5", "-1"),
        ("3.5~5.3", "3.5", "5.3"),
        ("3.5～5.3", "3.5", "5.3"),
        ("0 至 5", "0", "5"),
        ("5-3", None, None),
        ("1:20-1:40", None, None),
        ("男:3-5~女:2-4", None, None),
    ],
)
def test_a_reference_range_is_text_and_numbers_where_it_can_be_read(
    mapped: Map, written: str, low: str | None, high: str | None
) -> None:
    found, findings = observation(mapped, obx("NM", "5", f7=written))
    assert findings == []
    entry = found["referenceRange"][0]
    assert entry["text"] == written
    assert [str(entry[side]["value"]) if side in entry else None for side in ("low", "high")] == [low, high]


def test_a_unit_has_a_code_where_the_sender_says_so_or_the_table_knows_it(mapped: Map) -> None:
    plain, _ = observation(mapped, obx("NM", "5", f6="mmol/L"))
    unknown, _ = observation(mapped, obx("NM", "5", f6="U"))
    coded, _ = observation(mapped, obx("NM", "5", f6="mmol/L^毫摩尔每升^UCUM"))
    assert plain["valueQuantity"] == {"value": Decimal(5), "unit": "mmol/L", "system": UCUM, "code": "mmol/L"}
    assert unknown["valueQuantity"] == {"value": Decimal(5), "unit": "U"}
    assert coded["valueQuantity"]["system"] == "http://unitsofmeasure.org"


@pytest.mark.parametrize(
    ("flag", "status"),
    [("P", "preliminary"), ("F", "final"), ("C", "corrected"), ("D", "entered-in-error"), ("", "unknown")],
)
def test_the_status_of_a_result_is_kept(mapped: Map, flag: str, status: str) -> None:
    assert observation(mapped, obx("ST", "x", f11=flag))[0]["status"] == status


def test_a_deleted_value_is_not_silently_ignored(mapped: Map) -> None:
    found, codes = observation(mapped, obx("ST", '""'))
    assert codes == ["deletion-not-applied"]
    assert not [key for key in found if key.startswith("value")]


@pytest.mark.parametrize(("status", "reason"), [("N", "not-asked"), ("F", None)])
def test_a_result_without_a_value_says_why_where_its_sender_does(mapped: Map, status: str, reason: str | None) -> None:
    found, _ = observation(mapped, obx("NM", "", f11=status))
    absent = found.get("dataAbsentReason")
    assert (absent["coding"][0]["code"] if absent else None) == reason


def test_who_and_what_produced_a_result_stands_with_it(mapped: Map) -> None:
    found, codes = observation(mapped, obx("NM", "5", f15="LAB1^检验科", f18="DEV9^仪器", f21="R77", f25="D9^王"))
    assert [performer["display"] for performer in found["performer"]] == ["检验科", "王"]
    assert found["performer"][0]["identifier"]["value"] == "LAB1"
    assert (found["device"]["identifier"]["value"], found["identifier"][0]["value"]) == ("DEV9", "R77")
    assert codes == []


def test_extensions_stand_beside_an_attachment(mapped: Map) -> None:
    found, _ = observation(
        mapped, obx("RP", "https://example.org/1^^image^JPEG", f4="1.2", f10="A^年龄^HL70080", f19="20260402")
    )
    kinds = {each["url"].rsplit("/", 1)[1] for each in found["extension"]}
    assert kinds == {
        "extension-Observation.value",
        "observation-v2-subid",
        "observation-nature-of-abnormal-test",
        "observation-analysis-date-time",
    }


def culture(mapped: Map, parent: str, orders: str) -> tuple[dict[str, Any], list[str]]:
    germ = obx("CE", "E.coli^大肠埃希菌^L", f3="600-7^细菌^LN", f4="1")
    susceptibility = obr(f2="PL2", f3="FL2", f4="SUS^药敏^L", f26=parent, f29=orders)
    result = mapped("ORU^R01", pid(), obr(), germ, susceptibility, obx("ST", "S", f3="AMP^氨苄西林^L"))
    found = [each for each in result.resources if each["resourceType"] == "Observation"]
    derived = found[1]["derivedFrom"][0]
    return {**derived, "is germ": derived.get("reference") == f"Observation/{found[0]['id']}"}, [
        finding.code for finding in result.findings
    ]


@pytest.mark.parametrize("orders", ["PL1^FL1", "^FL1", "PL1", "PL1&HIS^FL1&LIS", ""])
def test_a_susceptibility_knows_its_germ(mapped: Map, orders: str) -> None:
    assert culture(mapped, "600-7&细菌&LN^1^大肠埃希菌", orders)[0]["is germ"]


@pytest.mark.parametrize(("parent", "orders"), [("600-7^2^大肠埃希菌", "PL1^FL1"), ("600-7^1^大肠埃希菌", "PL9^FL9")])
def test_a_germ_that_is_not_there_is_named_and_told(mapped: Map, parent: str, orders: str) -> None:
    derived, codes = culture(mapped, parent, orders)
    assert (derived["display"], codes) == ("大肠埃希菌", ["parent-result-unknown"])


@pytest.mark.parametrize(
    ("stands", "is_parent"),
    [
        ("F", False),
        ("CM", False),
        ("^1", False),
        ("20260401083000", False),
        ("1^^^20260401^^R", False),
        ("005454^王^医生^^^主任", False),
        ("F&细菌&L", True),
        ("600-7^9", True),
        ("^^大肠埃希菌", True),
    ],
)
def test_what_cannot_name_a_result_is_no_parent(mapped: Map, stands: str, is_parent: bool) -> None:
    result = mapped("ORU^R01", pid(), obr(f26=stands), obx("NM", "5"))
    (found,) = (each for each in result.resources if each["resourceType"] == "Observation")
    assert ("derivedFrom" in found) is is_parent
    expected = (
        ("parent-result-unknown", "OBR-26", "parent") if is_parent else ("no-parent-result", "OBR-26[1].1", "parent")
    )
    assert expected in [(each.code, each.location, each.rule) for each in result.findings]


def test_a_result_without_a_name_is_held(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("ORU^R01", pid(), obr(), obx("NM", "5", f3=""))
    assert held.value.location == "OBX-3"


def test_a_specimen_of_spm_goes_before_nothing_of_obr_15(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("NM", "5"), "SPM|1|S1||BLD^血^L")
    specimen = next(each for each in result.resources if each["resourceType"] == "Specimen")
    found = next(each for each in result.resources if each["resourceType"] == "Observation")
    assert found["specimen"]["reference"] == f"Specimen/{specimen['id']}"


def test_a_specimen_without_a_number_and_a_report_is_told(mapped: Map) -> None:
    result = mapped("OUL^R22", pid(), "SPM|1|||BLD^血^L", obr(), obx("NM", "5"))
    assert [finding.code for finding in result.findings] == ["specimen-unidentified"]


@pytest.mark.parametrize(("of_spm", "hour"), [("20260401090000", "09:00"), ("", "08:30")])
def test_the_obr_of_a_specimen_says_what_its_spm_does_not(mapped: Map, of_spm: str, hour: str) -> None:
    spm = f"SPM|1|S1||BLD^血^L|||||||||||||20260401080000|{of_spm}"
    result = mapped("ORU^R01", pid(), obr(f14="20260401083000"), obx("NM", "5"), spm)
    found = [each for each in result.resources if each["resourceType"] == "Specimen"]
    assert [each["receivedTime"] for each in found] == [f"2026-04-01T{hour}:00+08:00"]


@pytest.mark.parametrize("kind", ["ST", "TX", "FT", ""])
@pytest.mark.parametrize(
    ("text", "number", "comparator"),
    [
        ("5.60", "5.60", None),
        ("-1", "-1", None),
        ("<0.5", "0.5", "<"),
        ("> 1000", "1000", ">"),
        ("≤0.5", "0.5", "<="),
        (">=0.5", "0.5", ">="),
        ("＜０.５", "0.5", "<"),
    ],
)
def test_a_number_with_a_unit_that_is_typed_as_text_is_a_number(
    mapped: Map, kind: str, text: str, number: str, comparator: str | None
) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx(kind, text, f6="毫克/升"))
    (found,) = [each for each in result.resources if each["resourceType"] == "Observation"]
    said = {"comparator": comparator} if comparator else {}
    assert found["valueQuantity"] == {
        "value": Decimal(number),
        **said,
        "unit": "毫克/升",
        "system": UCUM,
        "code": "mg/L",
    }
    assert str(found["valueQuantity"]["value"]) == number
    assert "valueString" not in found
    assert [(each.code, each.severity, each.once) for each in result.findings] == [
        ("number-format", Severity.INFORMATION, "OBX-3 GLU")
    ]
    assert result.unmapped == []


def test_what_is_too_long_for_a_code_of_a_result_is_not_repeated(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("ST", "5", f3="张三家住" * 20, f6="%"))
    assert [finding.once for finding in result.findings] == ["OBX-3"]


@pytest.mark.parametrize("kind", ["ST", "TX", "FT", ""])
@pytest.mark.parametrize("text", ["5.60", "<0.5", "1:80"])
def test_a_text_without_a_unit_stays_a_text(mapped: Map, kind: str, text: str) -> None:
    for unit in ("", '""'):
        result = mapped("ORU^R01", pid(), obr(), obx(kind, text, f6=unit))
        (found,) = [each for each in result.resources if each["resourceType"] == "Observation"]
        assert found["valueString"] == text
        assert (result.findings, result.unmapped) == ([], [])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("ST", "1:80"),
        ("ST", "阴性"),
        ("ST", "5.6^6.1"),
        ("TX", "5~6"),
        ("ST", "5-6"),
        ("ST", "1,000"),
        ("ST", "9" * 100),
        ("ID", "5"),
        ("NM", "阴性"),
    ],
)
def test_the_unit_of_a_text_that_is_no_number_is_counted_as_not_mapped(mapped: Map, kind: str, text: str) -> None:
    other = obx("NM", "5", f3="K^钾^L", f6="U", f26="x")
    result = mapped("ORU^R01", pid(), obr(), obx(kind, text, f6="titer"), other, obx(kind, text, f6="titer"))
    found = next(each for each in result.resources if each["resourceType"] == "Observation")
    assert found["valueString"] == text.replace("~", "\n")
    assert result.unmapped == ["OBX-26", "OBX-6"]
