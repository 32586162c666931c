"""Names, identifiers, addresses and telephones of patients, clean and dirty."""

from __future__ import annotations

from typing import Any

import pytest

from engine.identifiers import ID_CARD
from engine.mapping.functions.id_card import id_card
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment


def patient(mapped: Map, **fields: str) -> dict[str, Any]:
    return mapped("ADT^A04", pid(**fields)).resources[0]


@pytest.mark.parametrize(
    ("written", "text", "family", "given"),
    [
        ("王^小东", "王小东", "王", ["小东"]),
        ("张三", "张三", "张三", None),
        ("欧阳^", "欧阳", "欧阳", None),
        ("EVERYMAN^ADAM^A", "ADAM A EVERYMAN", "EVERYMAN", ["ADAM", "A"]),
        ("阿依古丽·买买提", "阿依古丽·买买提", "阿依古丽·买买提", None),
        ("EVERYMAN&&&&Aniston^ADAM", "ADAM EVERYMAN", "EVERYMAN", ["ADAM"]),
        ("㼆^𠮷", "㼆𠮷", "㼆", ["𠮷"]),
        ("A\\T\\B^C", "C A&B", "A&B", ["C"]),
    ],
)
def test_a_name_is_kept_in_its_parts_and_as_it_is_read(
    mapped: Map, written: str, text: str, family: str, given: list[str] | None
) -> None:
    name = patient(mapped, f5=written)["name"][0]
    assert (name["text"], name["family"], name.get("given")) == (text, family, given)


def test_a_sex_behind_a_name_is_no_given_name(mapped: Map) -> None:
    result = mapped("ADT^A04", pid(f5="张三^男"))
    assert result.resources[0]["name"] == [{"text": "张三", "family": "张三"}]
    assert [(f.code, f.location) for f in result.findings] == [("name-holds-sex", "PID-5[1].2")]


def test_a_second_name_is_a_second_name(mapped: Map) -> None:
    names = patient(mapped, f5="王^小东^^^^^L^I~Wang^Xiaodong^^^^^L^A")["name"]
    assert [name["text"] for name in names] == ["王小东", "Xiaodong Wang"]
    assert names[1]["extension"][0]["valueCode"] == "ABC"


@pytest.mark.parametrize(
    ("written", "number", "valid"),
    [
        ("11010519491231002X", "11010519491231002X", True),
        ("11010519491231002x", "11010519491231002X", True),
        ("１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X", True),
        (" 110105 19491231 002X ", "11010519491231002X", True),
        ("110105194912310021", "110105194912310021", False),
        ("11010519491331002X", "11010519491331002X", False),
        ("110105491231002", "11010519491231002X", True),
    ],
)
def test_a_card_number_is_folded_and_checked(written: str, number: str, valid: bool) -> None:
    card = id_card(written)
    assert card is not None
    assert (card.number, card.valid) == (number, valid)


@pytest.mark.parametrize("written", ["", "P1", "1234567890123456", "1101051949123100", "X1010519491231002X"])
def test_other_numbers_are_no_card_numbers(written: str) -> None:
    assert id_card(written) is None


def test_a_valid_card_is_an_official_identifier(mapped: Map) -> None:
    identifiers = patient(mapped, f3="P1^^^HIS^MR~11010519491231002X^^^CN^NI")["identifier"]
    assert identifiers[1]["system"] == ID_CARD
    assert identifiers[1]["use"] == "official"


def test_a_wrong_check_digit_is_kept_where_nobody_is_matched_by_it(mapped: Map) -> None:
    result = mapped("ADT^A04", pid(f3="P1^^^HIS^MR~110105194912310021^^^CN^NI"))
    card = result.resources[0]["identifier"][1]
    assert (card["system"], card["use"], card["value"]) == (ID_CARD, "temp", "110105194912310021")
    assert [(f.code, f.location) for f in result.findings] == [("id-card-check-digit", "PID-3[2].1")]


def test_a_medical_record_number_of_eighteen_digits_stays_one(mapped: Map) -> None:
    identifier = patient(mapped, f3="11010519491231002X^^^HIS^MR")["identifier"][0]
    assert identifier["system"] == "urn:hutong:facility:baishi:patient:HIS"
    assert identifier["type"]["coding"][0]["code"] == "MR"


def test_an_american_social_security_number_is_no_card(mapped: Map) -> None:
    identifiers = patient(mapped, f3="P1^^^HIS^MR~123456789^^^USSSA^SS")["identifier"]
    assert identifiers[1]["system"] == "urn:hutong:facility:baishi:patient:USSSA"


def test_forty_repetitions_are_forty_identifiers(mapped: Map) -> None:
    identifiers = patient(mapped, f3="~".join(f"N{number}^^^HIS^PI" for number in range(40)))["identifier"]
    assert [identifier["value"] for identifier in identifiers] == [f"N{number}" for number in range(40)]


def test_the_same_number_twice_stands_once(mapped: Map) -> None:
    assert len(patient(mapped, f3="P1^^^HIS^MR~P1^^^HIS^MR")["identifier"]) == 1


def test_the_own_number_makes_the_id_wherever_it_stands(mapped: Map) -> None:
    first = patient(mapped, f3="11010519491231002X^^^CN^NI~P1^^^HIS^MR")["id"]
    assert first == patient(mapped, f3="P1^^^HIS^MR")["id"]
    assert first != patient(mapped, f3="P1^^^LIS^MR")["id"]


def test_somebody_without_a_number_is_a_patient_of_this_message_alone(mapped: Map) -> None:
    unnumbered = mapped("ADT^A04", segment("PID", f5="无名氏"))
    other = mapped("ADT^A04", segment("PID", f5="无名氏", f8="M"))
    assert [f.code for f in unnumbered.findings] == ["patient-unidentified"]
    assert unnumbered.resources[0]["id"] != other.resources[0]["id"]
    assert unnumbered.resources[0]["id"] == mapped("ADT^A04", segment("PID", f5="无名氏")).resources[0]["id"]


@pytest.mark.parametrize(
    ("written", "gender"),
    [
        ("M", "male"),
        ("1", "male"),
        ("男", "male"),
        ("２", "female"),
        ("f", "female"),
        ("0", "unknown"),
        ("9", "unknown"),
    ],
)
def test_a_sex_is_read_in_every_code_that_is_used(mapped: Map, written: str, gender: str) -> None:
    assert patient(mapped, f8=written)["gender"] == gender


def test_an_unknown_sex_is_unknown_and_a_finding(mapped: Map) -> None:
    result = mapped("ADT^A04", pid(f8="武汉"))
    assert result.resources[0]["gender"] == "unknown"
    assert [(f.code, f.severity) for f in result.findings] == [("code-unmapped", "information")]


def test_a_deleted_value_is_none_and_an_empty_one_says_nothing(mapped: Map) -> None:
    resource = patient(mapped, f7='""', f8="", f11='""', f13='""~13800138000')
    assert resource["address"] is None
    assert resource["birthDate"] is None
    assert "gender" not in resource
    assert resource["telecom"] == [{"system": "phone", "value": "13800138000", "use": "home"}]


def test_an_address_keeps_its_parts(mapped: Map) -> None:
    address = patient(mapped, f11="白石乡１号&人民路^二单元^青溪县^浙江省^312000^CHN^H^^越城区")["address"][0]
    assert address == {
        "use": "home",
        "line": ["白石乡１号", "人民路", "二单元"],
        "city": "青溪县",
        "district": "越城区",
        "state": "浙江省",
        "postalCode": "312000",
        "country": "CHN",
    }


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("13800138000", {"system": "phone", "value": "13800138000", "use": "home"}),
        ("13800138000^PRN^CP", {"system": "phone", "value": "13800138000", "use": "mobile"}),
        ("^WPN^PH^^86^575^12345678^9", {"system": "phone", "value": "+86 575-12345678 x9", "use": "work"}),
        ("^NET^Internet^wang@example.org", {"system": "email", "value": "wang@example.org", "use": "home"}),
        ("^PRN^PH^^^^^^^^^(608)271-9001", {"system": "phone", "value": "(608)271-9001", "use": "home"}),
    ],
)
def test_a_telephone_is_read_in_old_and_new_forms(mapped: Map, written: str, expected: dict[str, str]) -> None:
    assert patient(mapped, f13=written)["telecom"] == [expected]


@pytest.mark.parametrize(
    ("written", "kept", "findings"),
    [
        ("１３８００１３８０００", "13800138000", ["number-format"]),
        ("（０７１９）１２３４５６７－８", "(0719)1234567-8", ["number-format"]),
        ("13800138000（子）", "13800138000（子）", []),
        ("^NET^Internet^王＠example.org", "王＠example.org", []),
    ],
)
def test_a_telephone_number_in_full_width_digits_is_made_narrow_and_that_is_said(
    mapped: Map, written: str, kept: str, findings: list[str]
) -> None:
    result = mapped("ADT^A08", pid(f13=written))
    (found,) = [each for each in result.resources if each["resourceType"] == "Patient"]
    assert found["telecom"][0]["value"] == kept
    assert [finding.code for finding in result.findings] == findings
