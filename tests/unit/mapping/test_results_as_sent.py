"""Results as systems really send them: empty segments among them, types with their table, titres with a sign."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from engine.errors import MappingError
from engine.mapping import Mapped
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid, segment


def results(mapped: Mapped) -> list[dict[str, Any]]:
    return [resource for resource in mapped.resources if resource["resourceType"] == "Observation"]


def codes(mapped: Mapped) -> list[str]:
    return [finding.code for finding in mapped.findings]


@pytest.mark.parametrize(
    "empty",
    [
        "OBX|2",
        "OBX|2|CE|^^||^^||||||F",
        "OBX|2|TX||| ||||||F",
        "OBX|2|ED|||APP^IM^JPEG^Base64^||||||F",
        "OBX|2|RP|||^^IM^JPEG||||||F",
    ],
)
def test_an_empty_result_does_not_keep_the_others_back(mapped: Map, empty: str) -> None:
    made = mapped("ORU^R01", pid(), obr(), obx("NM", "5.1"), empty, obx("NM", "4.2", f3="K^钾^L"))
    assert [str(each["valueQuantity"]["value"]) for each in results(made)] == ["5.1", "4.2"]
    (report,) = [each for each in made.resources if each["resourceType"] == "DiagnosticReport"]
    assert len(report["result"]) == 2
    (told,) = [finding for finding in made.findings if finding.code == "result-empty"]
    assert told.location == "OBX[2]-3"


@pytest.mark.parametrize(
    "unnamed",
    [
        ["OBX|1|NM|||5.1|mmol/L|||||F"],
        ["OBX|1|TX|||两肺未见异常||||||F"],
        ["OBX|1|ED|||APP^IM^JPEG^Base64^/9j/||||||F"],
        ["OBX|1|||||||||F", "NTE|1||标本溶血"],
    ],
)
def test_a_result_that_says_something_needs_a_code(mapped: Map, unnamed: list[str]) -> None:
    with pytest.raises(MappingError) as held:
        mapped("ORU^R01", pid(), obr(), *unnamed)
    assert (held.value.code, held.value.location) == ("not-identified", "OBX-3")


@pytest.mark.parametrize("kind", ["CWE^^HL70125", "CWE^Coded With Exceptions^HL70125", "cwe", "CWE "])
def test_a_type_with_its_table_is_that_type(mapped: Map, kind: str) -> None:
    made = mapped("ORU^R01", pid(), obr(), obx(kind, "260373001^检出^SCT"))
    assert results(made)[0]["valueCodeableConcept"]["coding"][0]["code"] == "260373001"
    assert "value-type-unknown" not in codes(made)


def test_an_unknown_type_is_told_of(mapped: Map) -> None:
    made = mapped("ORU^R01", pid(), obr(), obx("XYZ^^HL70125", "5.1 左右"))
    assert results(made)[0]["valueString"] == "5.1 左右"
    assert "value-type-unknown" in codes(made)


def test_a_titre_with_an_equals_sign_is_a_ratio(mapped: Map) -> None:
    ratio = results(mapped("ORU^R01", pid(), obr(), obx("SN", "=^1^:^640")))[0]["valueRatio"]
    assert (str(ratio["numerator"]["value"]), str(ratio["denominator"]["value"])) == ("1", "640")
    below = results(mapped("ORU^R01", pid(), obr(), obx("SN", "<^1^:^8")))[0]
    assert below["valueString"].split() == ["<", "1", ":", "8"]


def test_an_administration_at_a_time_that_cannot_be_read_is_held(mapped: Map) -> None:
    order = segment("ORC", f1="RE", f2="RX1")
    with pytest.raises(MappingError) as held:
        mapped("RAS^O17", pid(), order, "RXA|0|1|201497870911||AMX^阿莫西林^L|1")
    assert (held.value.code, held.value.location) == ("required-missing", "RXA-3")


@pytest.mark.parametrize("value", ["1^390.9", "^390.9", "5.1^mmol/L", "5^10&20"])
def test_of_several_components_none_is_taken_for_the_number(mapped: Map, value: str) -> None:
    made = mapped("ORU^R01", pid(), obr(), obx("NM", value, f6="pg/mL"))
    (result,) = results(made)
    assert "valueQuantity" not in result
    assert set(value.split("^")) - {""} <= set(result["valueString"].replace("&", " & ").replace(" & ", "&").split("^"))
    assert "number-unreadable" in codes(made)


def test_empty_components_behind_a_number_change_nothing(mapped: Map) -> None:
    (result,) = results(mapped("ORU^R01", pid(), obr(), obx("NM", "5.10^^", f6="mmol/L")))
    assert str(result["valueQuantity"]["value"]) == "5.10"


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nonly its head").decode()


@pytest.mark.parametrize("value", [PNG, f"IM^PNG^Base64^{PNG}", f"^^{PNG}^Base64^"])
def test_embedded_data_in_another_component_are_not_lost(mapped: Map, value: str) -> None:
    made = mapped("ORU^R01", pid(), obr(), obx("ED", value))
    attachment = results(made)[0]["extension"][0]["valueAttachment"]
    assert (attachment["contentType"], attachment["data"]) == ("image/png", PNG)
    assert "embedded-data-astray" in codes(made)


@pytest.mark.parametrize("value", ["kein Bild", "AAAAAQID", "IM^PNG"])
def test_what_has_not_the_form_of_embedded_data_is_told_of(mapped: Map, value: str) -> None:
    made = mapped("ORU^R01", pid(), obr(), obx("ED", value))
    assert "embedded-data-unreadable" in codes(made)
    assert "dataAbsentReason" in results(made)[0]


@pytest.mark.parametrize(("word", "gender"), [("Male", "male"), ("FEMALE", "female")])
def test_a_sex_in_english_words_is_read(mapped: Map, word: str, gender: str) -> None:
    made = mapped("ORU^R01", pid(f8=word), segment("PV1", f2="Outpatient", f19="V1"), obr(), obx("NM", "5.1"))
    said = {resource["resourceType"]: resource for resource in made.resources}
    assert said["Patient"]["gender"] == gender
    assert said["Encounter"]["class"]["code"] == "AMB"


@pytest.mark.parametrize("message_type", ["ORU^R30", "ORU^R31", "ORU^R32", "OUL^R21"])
def test_results_of_devices_are_results(mapped: Map, message_type: str) -> None:
    made = mapped(message_type, pid(), segment("ORC", f1="NW", f3="FL1"), obr(f2=""), obx("NM", "5.10", f6="mmol/L"))
    kinds = {resource["resourceType"] for resource in made.resources}
    assert {"Patient", "DiagnosticReport", "Observation"} <= kinds
    assert str(results(made)[0]["valueQuantity"]["value"]) == "5.10"


def test_a_control_of_the_analyser_is_no_result_of_a_patient(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("OUL^R21", obr(f3="QC-LOT7"), obx("NM", "3.5", f6="mmol/L"))
    assert held.value.code == "not-identified"


def test_what_was_observed_without_a_code_at_admission_is_told_of(mapped: Map) -> None:
    visit = segment("PV1", f2="I", f19="V1")
    made = mapped("ADT^A01", pid(), visit, obx("NM", "37.5", f3="", f6="Cel"), "OBX|2", obx("NM", "60", f3="HR^心率^L"))
    assert [str(each["valueQuantity"]["value"]) for each in results(made)] == ["60"]
    (told,) = [finding for finding in made.findings if finding.code == "item-unidentified"]
    assert "OBX-3" in told.text
