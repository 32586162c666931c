"""Prescriptions, what is dispensed on them and what is given: which is which, how much, and when."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import MappingError
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_messages_of_others import validate


def rxe(**fields: str) -> str:
    return segment("RXE", **{"f2": "A1^甲^L", "f3": "1", "f5": "片", **fields})


def rxd(**fields: str) -> str:
    return segment("RXD", **{"f1": "1", "f2": "A1^甲^L", "f3": "20260401", "f4": "10", **fields})


def rxa(**fields: str) -> str:
    return segment("RXA", **{"f1": "0", "f2": "1", "f3": "20260401100000", "f5": "A1^甲^L", "f6": "1", **fields})


def made(mapped: Map, message_type: str, kind: str, *segments: str) -> tuple[list[dict[str, Any]], set[str]]:
    """The resources of a kind, and the codes of the findings."""
    result = mapped(message_type, pid(), *segments)
    for resource in result.resources:
        validate(resource)
    found = [each for each in result.resources if each["resourceType"] == kind]
    return found, {finding.code for finding in result.findings}


def prescriptions(mapped: Map, *segments: str) -> list[dict[str, Any]]:
    return made(mapped, "RDE^O11", "MedicationRequest", *segments)[0]


def dosage(mapped: Map, *segments: str) -> tuple[dict[str, Any], set[str]]:
    found, codes = made(mapped, "RDE^O11", "MedicationRequest", "ORC|NW|P1", *segments)
    result: dict[str, Any] = found[0].get("dosageInstruction", [{}])[0]
    return result, codes


@pytest.mark.parametrize(
    ("control", "stated", "status"),
    [
        ("NW", "", "active"),
        ("CA", "", "cancelled"),
        ("CA", "IP", "cancelled"),
        ("DC", "", "stopped"),
        ("HD", "", "on-hold"),
        ("SC", "CM", "completed"),
        ("SC", "", "active"),
        ("XO", "HD", "on-hold"),
        ("", "ER", "entered-in-error"),
    ],
)
def test_order_control_and_order_status_make_one_state(mapped: Map, control: str, stated: str, status: str) -> None:
    assert prescriptions(mapped, f"ORC|{control}|P1|||{stated}", rxe())[0]["status"] == status


@pytest.mark.parametrize("control", ["NW", "CA", "DC", "XO", "RL"])
def test_whatever_happens_to_a_prescription_it_stays_the_same_one(mapped: Map, control: str) -> None:
    (first,), (again,) = (prescriptions(mapped, f"ORC|{each}|P1", rxe()) for each in ("NW", control))
    assert first["id"] == again["id"]


def test_several_medicines_under_one_number_are_prescriptions_of_their_own(mapped: Map) -> None:
    found = prescriptions(mapped, "ORC|NW|P1", rxe(), "ORC|NW|P1", rxe(f2="A2^乙^L"))
    assert len({each["id"] for each in found}) == 2


def test_one_medicine_twice_under_one_number_is_said(mapped: Map) -> None:
    found, codes = made(mapped, "RDE^O11", "MedicationRequest", "ORC|NW|P1", rxe(), "ORC|NW|P1", rxe(f3="2"))
    assert (len(found), codes) == (1, {"order-number-repeated"})


def test_what_the_pharmacy_made_of_an_order_names_the_order(mapped: Map) -> None:
    ordered, encoded = prescriptions(mapped, "ORC|NW|P1", "RXO|A0^甲药^L|1||片", rxe())
    assert (ordered["intent"], encoded["intent"]) == ("original-order", "filler-order")
    assert encoded["basedOn"] == [{"reference": f"MedicationRequest/{ordered['id']}"}]


def test_an_order_in_words_alone_is_what_the_pharmacy_made_of_it(mapped: Map) -> None:
    found, codes = made(mapped, "RDE^O11", "MedicationRequest", "ORC|NW|P1", "RXO||||||^按原方", rxe())
    assert ([each["intent"] for each in found], codes) == (["filler-order"], {"prescription-without-medicine"})


@pytest.mark.parametrize(
    ("message_type", "line"), [("RDE^O11", rxe(f2="")), ("RDS^O13", rxd(f2="")), ("RAS^O17", rxa(f5=""))]
)
def test_what_names_no_medicine_is_held(mapped: Map, message_type: str, line: str) -> None:
    with pytest.raises(MappingError) as held:
        mapped(message_type, pid(), "ORC|NW|P1", line)
    assert held.value.code == "not-identified"


def test_routes_timings_and_comments_stay_with_what_they_follow(mapped: Map) -> None:
    ordered, encoded = prescriptions(
        mapped,
        "ORC|NW|P1",
        "TQ1|||BID",
        "RXO|A0^甲药^L|1||片",
        "NTE|||一",
        "RXR|PO",
        rxe(),
        "NTE|||二",
        "TQ1|||TID",
        "RXR|IV",
    )
    for each, note, route, code in ((ordered, "一", "PO", "BID"), (encoded, "二", "IV", "TID")):
        (instruction,) = each["dosageInstruction"]
        assert each["note"] == [{"text": note}]
        assert instruction["route"]["coding"][0]["code"] == route
        assert instruction["timing"]["code"]["coding"][0]["code"] == code


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        ("1", "", {"doseQuantity": "1"}),
        ("1", "2", {"low": "1", "high": "2"}),
        ("", "2", {"high": "2"}),
        ("0.50", "", {"doseQuantity": "0.50"}),
        ("１", "", {"doseQuantity": "1"}),
    ],
)
def test_an_amount_keeps_its_digits_and_two_make_a_range(
    mapped: Map, least: str, most: str, expected: dict[str, str]
) -> None:
    (dose,) = dosage(mapped, rxe(f3=least, f4=most))[0]["doseAndRate"]
    parts = dose.get("doseRange", dose)
    assert {name: str(parts[name]["value"]) for name in expected} == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("TID", {"frequency": 3, "period": 1, "periodUnit": "d"}),
        ("Q6H&每六小时", {"frequency": 1, "period": 6, "periodUnit": "h"}),
        ("QHS", {}),
        ("TID^^^^8^h", {"frequency": 1, "period": 8, "periodUnit": "h"}),
        ("^DW^1^5", {"dayOfWeek": ["mon", "tue", "wed", "thu", "fri"]}),
        ("^^^^8^h", {"frequency": 1, "period": 8, "periodUnit": "h"}),
        ("^^^^1^日", {"frequency": 1, "period": 1, "periodUnit": "d"}),
        ("^^^^^^^AC^30^min", {"when": ["AC"], "offset": 30}),
        ("^^^^^^^HS", {"when": ["HS"]}),
    ],
)
def test_a_repeat_pattern_becomes_a_timing(mapped: Map, pattern: str, expected: dict[str, Any]) -> None:
    found, codes = dosage(mapped, rxe(), segment("TQ1", f3=pattern))
    assert codes == set()
    assert found["timing"].get("repeat", {}) == expected


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"f3": "^^^^八^h"}, "duration-unreadable"),
        ({"f3": "^^^^-1^h"}, "duration-unreadable"),
        ({"f3": "^^^^^^^吃饭"}, "code-unmapped"),
        ({"f4": "25点"}, "time-unreadable"),
        ({"f6": "七天"}, "duration-unreadable"),
        ({"f7": "20261399"}, "time-unreadable"),
        ({"f13": "一会儿"}, "duration-unreadable"),
        ({"f14": "几次"}, "number-unreadable"),
        ({"f9": "随便"}, "code-unmapped"),
    ],
)
def test_a_timing_that_cannot_be_read_is_left_out_and_said(mapped: Map, fields: dict[str, str], code: str) -> None:
    found, codes = dosage(mapped, rxe(), segment("TQ1", **fields))
    assert codes == {code}
    assert "timing" not in found


def test_how_long_counts_from_the_start_or_stands_alone(mapped: Map) -> None:
    started, _ = dosage(mapped, rxe(), segment("TQ1", f6="2^h", f7="20260401080000"))
    assert started["timing"]["repeat"]["boundsPeriod"]["end"] == "2026-04-01T10:00:00+08:00"
    alone, _ = dosage(mapped, rxe(), segment("TQ1", f6="1^月"))
    assert alone["timing"]["repeat"]["boundsDuration"]["code"] == "mo"


@pytest.mark.parametrize(
    ("said", "repeat", "codes"),
    [
        ("X7", {"count": 7}, set()),
        ("X7^20260401", {"count": 7, "boundsPeriod": {"start": "2026-04-01"}}, set()),
        (
            "D7",
            {"boundsDuration": {"value": 7, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}},
            set(),
        ),
        (
            "7D",
            {"boundsDuration": {"value": 7, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}},
            set(),
        ),
        (
            "W2^202604010830",
            {"boundsPeriod": {"start": "2026-04-01T08:30:00+08:00", "end": "2026-04-15T08:30:00+08:00"}},
            set(),
        ),
        ("W2^20260401", {"boundsPeriod": {"start": "2026-04-01"}}, {"time-precision"}),
        ("L2^202604010830", {"boundsPeriod": {"start": "2026-04-01T08:30:00+08:00"}}, {"time-precision"}),
        ("D7^20260401^20260408", {"boundsPeriod": {"start": "2026-04-01", "end": "2026-04-08"}}, set()),
        ("INDEF^20260401", {"boundsPeriod": {"start": "2026-04-01"}}, set()),
        ("X0", None, {"duration-unreadable"}),
        ("7M", None, {"duration-unreadable"}),
        ("七天^20260401", {"boundsPeriod": {"start": "2026-04-01"}}, {"duration-unreadable"}),
    ],
)
def test_the_timing_of_before_tq1_keeps_how_often_and_how_long_or_says_it(
    mapped: Map, said: str, repeat: dict[str, Any] | None, codes: set[str]
) -> None:
    found, told = dosage(mapped, rxe(f1=f"1^^{said}"))
    assert told == codes
    assert found.get("timing", {}).get("repeat") == repeat


def test_a_plain_code_stays_one_and_anything_more_makes_a_medication(mapped: Map) -> None:
    assert "medicationCodeableConcept" in prescriptions(mapped, "ORC|NW|P1", rxe())[0]
    mixed = ("ORC|NW|P1", rxe(f6="TAB^片剂^L"), "RXC|B|NS^生理盐水^L|100|mL", "RXC|A|KCL^氯化钾^L|||1|g")
    (medication, base) = sorted(
        made(mapped, "RDE^O11", "Medication", *mixed)[0], key=lambda each: len(each), reverse=True
    )
    assert [each.get("isActive") for each in medication["ingredient"]] == [False, True]
    assert base["amount"]["numerator"]["value"] == 100


def test_the_same_mixture_is_the_same_medication_whoever_gets_it(mapped: Map) -> None:
    ids = {
        each["id"]
        for number in ("P1", "P2")
        for each in made(mapped, "RDE^O11", "Medication", f"ORC|NW|{number}", rxe(f6="TAB^片剂^L"))[0]
    }
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("segments", "code", "place"),
    [
        (("ORC|NW|P1",), "segment-missing", "RXE"),
        (("ORC|NW", rxe()), "not-identified", "ORC-2"),
        ((rxe(),), "not-identified", "RXE-15"),
    ],
)
def test_a_prescription_that_says_no_medicine_or_has_no_number_is_held(
    mapped: Map, segments: tuple[str, ...], code: str, place: str
) -> None:
    with pytest.raises(MappingError) as held:
        mapped("RDE^O11", pid(), *segments)
    assert (held.value.code, held.value.location) == (code, place)
    assert held.value.rule


@pytest.mark.parametrize(
    ("control", "status"),
    [("RE", "completed"), ("NW", "completed"), ("", "completed"), ("CA", "cancelled"), ("DC", "stopped")],
)
def test_what_is_dispensed_was_done_unless_it_is_taken_back(mapped: Map, control: str, status: str) -> None:
    (found,), _ = made(mapped, "RDS^O13", "MedicationDispense", f"ORC|{control}|P1", rxd())
    assert found["status"] == status


def test_each_time_something_is_dispensed_is_one_of_its_own(mapped: Map) -> None:
    lines = ("ORC|RE|P1", rxd(), "ORC|RE|P1", rxd(f1="2"), "ORC|RE|P1", rxd(f3="20260501"))
    found, _ = made(mapped, "RDS^O13", "MedicationDispense", *lines)
    assert len({each["id"] for each in found}) == 3


def test_what_is_dispensed_names_its_prescription_or_that_ones_number(mapped: Map) -> None:
    (named,), _ = made(mapped, "RDS^O13", "MedicationDispense", "ORC|RE|P1", rxe(), rxd(f7="CF1"))
    assert named["authorizingPrescription"][0]["reference"].startswith("MedicationRequest/")
    (numbered,), _ = made(mapped, "RDS^O13", "MedicationDispense", rxd(f7="CF1"))
    assert numbered["authorizingPrescription"][0]["identifier"]["value"] == "CF1"


@pytest.mark.parametrize(("said", "expected"), [("N", False), ("G", True), ("4", True), ("1", False), ("换", None)])
def test_whether_another_medicine_was_given(mapped: Map, said: str, expected: bool | None) -> None:
    (found,), codes = made(mapped, "RDS^O13", "MedicationDispense", "ORC|RE|P1", rxd(f11=said))
    assert found.get("substitution", {}).get("wasSubstituted") is expected
    assert codes == (set() if expected is not None else {"code-unmapped"})


@pytest.mark.parametrize(
    ("completion", "action", "control", "status"),
    [
        ("", "", "RE", "completed"),
        ("CP", "A", "RE", "completed"),
        ("PA", "", "", "stopped"),
        ("RE", "", "", "not-done"),
        ("CP", "D", "RE", "entered-in-error"),
        ("CP", "A", "OC", "entered-in-error"),
    ],
)
def test_whether_a_medicine_was_given(mapped: Map, completion: str, action: str, control: str, status: str) -> None:
    lines = (f"ORC|{control}|P1", rxa(f20=completion, f21=action))
    (found,), _ = made(mapped, "RAS^O17", "MedicationAdministration", *lines)
    assert found["status"] == status


def test_an_administration_without_a_time_is_held(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("RAS^O17", pid(), "ORC|RE|P1", rxa(f3=""))
    assert (held.value.code, held.value.rule) == ("not-identified", "administration-id")


@pytest.mark.parametrize(
    ("further", "found"),
    [("RXR|NG^鼻饲", True), ("RXR|PO^口服|TH^咽", True), ("RXR|PO^口服|MTH^口", False), ("RXR|", False)],
)
def test_another_route_to_choose_from_is_said_and_not_taken(mapped: Map, further: str, found: bool) -> None:
    taken, codes = dosage(mapped, rxe(), "RXR|PO^口服|MTH^口", further)
    assert taken["route"]["text"] == "口服"
    assert ("repetition-not-mapped" in codes) is found


def test_every_further_time_is_a_dosage_with_its_own_amount(mapped: Map) -> None:
    (found,) = prescriptions(
        mapped, "ORC|NW|P1", rxe(), "TQ1|1|1^片|QAM", "TQ1|2|2^片|QHS|25点", "TQ1|3||Q8H", "RXR|PO^口服"
    )
    amounts = [each["doseAndRate"][0]["doseQuantity"]["value"] for each in found["dosageInstruction"]]
    assert (amounts, [each["route"]["text"] for each in found["dosageInstruction"]]) == ([1, 2, 1], ["口服"] * 3)
