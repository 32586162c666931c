"""Referrals, charges and the master files of a facility: which is which, and what cannot be told."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import MappingError
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_messages_of_others import validate


def rf1(**fields: str) -> str:
    return segment("RF1", **{"f1": "P", "f6": "Z1^WSY", **fields})


def ft1(**fields: str) -> str:
    return segment("FT1", **{"f1": "1", "f2": "T1", "f4": "20260401", "f6": "CG", "f7": "DR01^胸部DR^L", **fields})


def stf(**fields: str) -> str:
    return segment("STF", **{"f1": "D01", "f3": "周^大夫", **fields})


def made(mapped: Map, message_type: str, kind: str, *segments: str) -> tuple[list[dict[str, Any]], set[str]]:
    """The resources of a kind, and the codes of the findings."""
    result = mapped(message_type, *segments)
    for resource in result.resources:
        validate(resource)
    found = [each for each in result.resources if each["resourceType"] == kind]
    return found, {finding.code for finding in result.findings}


def held(mapped: Map, message_type: str, *segments: str) -> tuple[str, str, str]:
    """Code, rule and place of what holds the message."""
    with pytest.raises(MappingError) as error:
        mapped(message_type, *segments)
    return error.value.code, error.value.rule or "", error.value.location or ""


@pytest.mark.parametrize(
    ("event", "stated", "status"),
    [
        ("I12", "P", "active"),
        ("I13", "A", "active"),
        ("I13", "R", "revoked"),
        ("I13", "E", "revoked"),
        ("I14", "A", "revoked"),
        ("I12", "", "active"),
    ],
)
def test_a_referral_is_active_until_it_is_refused_or_taken_back(
    mapped: Map, event: str, stated: str, status: str
) -> None:
    (found,), _ = made(mapped, f"REF^{event}", "ServiceRequest", rf1(f1=stated), pid())
    assert found["status"] == status


def test_a_referral_stays_the_same_one_and_is_no_order_of_that_number(mapped: Map) -> None:
    ids = {made(mapped, f"REF^{each}", "ServiceRequest", rf1(), pid())[0][0]["id"] for each in ("I12", "I13", "I14")}
    order = made(mapped, "ORM^O01", "ServiceRequest", pid(), "ORC|NW|Z1", "OBR|1|Z1||X^y^L")[0][0]["id"]
    assert len(ids) == 1
    assert order not in ids


def test_results_that_a_referral_brings_are_not_its_own_order(mapped: Map) -> None:
    lines = (rf1(), pid(), "OBR|1||L1|GLU^葡萄糖^L|||20260401", "OBX|1|NM|GLU^葡萄糖^L||5.1||||||F")
    (referral,), _ = made(mapped, "REF^I12", "ServiceRequest", *lines)
    (report,), _ = made(mapped, "REF^I12", "DiagnosticReport", *lines)
    assert referral["supportingInfo"] == [{"reference": f"DiagnosticReport/{report['id']}"}]
    assert "basedOn" not in report


def test_forty_providers_are_forty_people(mapped: Map) -> None:
    people = [f"PRD|RT|某^人{number}|||||X{number}" for number in range(40)]
    (found,), codes = made(mapped, "REF^I12", "ServiceRequest", rf1(), *people, pid())
    assert (len(found["performer"]), codes) == (40, set())


def test_a_referral_without_number_patient_or_rf1_is_held(mapped: Map) -> None:
    assert held(mapped, "REF^I12", rf1(f6=""), pid()) == ("not-identified", "referral-id", "RF1-6")
    assert held(mapped, "REF^I12", rf1()) == ("not-identified", "subject", "RF1-6")
    assert held(mapped, "REF^I12", pid()) == ("segment-missing", "needs", "RF1")
    assert held(mapped, "REF^I12", rf1(), pid(), pid(f3="P2^^^HIS^MR"))[0] == "not-identified"


def test_an_answer_to_a_referral_may_tell_of_nothing_but_the_patient(mapped: Map) -> None:
    assert made(mapped, "RRI^I12", "ServiceRequest", "MSA|AA|1", pid()) == ([], set())


@pytest.mark.parametrize(
    ("kind", "status", "codes"),
    [
        ("CG", "billable", set()),
        ("CD", "aborted", set()),
        ("AJ", "unknown", set()),
        ("PY", "unknown", {"charge-not-recorded"}),
        ("", "unknown", set()),
        ("？", "unknown", {"code-unmapped"}),
    ],
)
def test_what_kind_of_transaction_it_is_makes_the_state_of_a_charge(
    mapped: Map, kind: str, status: str, codes: set[str]
) -> None:
    (found,), said = made(mapped, "DFT^P03", "ChargeItem", pid(), ft1(f6=kind))
    assert (found["status"], said) == (status, codes)


@pytest.mark.parametrize(
    ("whole", "one", "times", "price"),
    [
        ("120.00&CNY", "", "2", ("120.00", "CNY")),
        ("120.00", "60", "2", ("120.00", "CNY")),
        ("", "60.50", "2", ("121.00", "CNY")),
        ("", "60.50&USD", "", ("60.50", "USD")),
        ("１２", "", "", ("12", "CNY")),
    ],
)
def test_a_price_keeps_its_digits_and_its_currency(
    mapped: Map, whole: str, one: str, times: str, price: tuple[str, str]
) -> None:
    (found,), _ = made(mapped, "DFT^P03", "ChargeItem", pid(), ft1(f10=times, f11=whole, f12=one))
    assert (str(found["priceOverride"]["value"]), found["priceOverride"]["currency"]) == price


@pytest.mark.parametrize("price", ["一百", "12&人民币", "12.1.1"])
def test_a_price_that_is_none_is_left_out_and_said(mapped: Map, price: str) -> None:
    (found,), codes = made(mapped, "DFT^P03", "ChargeItem", pid(), ft1(f11=price))
    assert ("priceOverride" in found, codes) == (False, {"number-unreadable"})


def test_charges_are_told_apart_by_their_numbers_else_by_what_and_when(mapped: Map) -> None:
    lines_of_a_bill, codes = made(mapped, "DFT^P03", "ChargeItem", pid(), ft1(), ft1(f7="X^y^L"))
    assert (len({each["id"] for each in lines_of_a_bill}), codes) == (2, set())
    twice, codes = made(mapped, "DFT^P03", "ChargeItem", pid(), ft1(), ft1())
    assert (len(twice), codes) == (1, {"charge-number-repeated"})
    lines = (ft1(f2=""), ft1(f1="2", f2="", f7="X^y^L"), ft1(f1="3", f2="", f4="20260402"))
    assert len({each["id"] for each in made(mapped, "DFT^P03", "ChargeItem", pid(), *lines)[0]}) == 3


def test_a_charge_without_code_or_number_and_date_is_held(mapped: Map) -> None:
    assert held(mapped, "DFT^P03", pid(), ft1(f7="")) == ("required-missing", "ft1-7", "FT1-7")
    assert held(mapped, "DFT^P03", pid(), ft1(f2="", f4="")) == ("not-identified", "charge-id", "FT1-2")
    assert held(mapped, "DFT^P03", pid()) == ("segment-missing", "needs", "FT1")
    assert held(mapped, "DFT^P03", ft1())[0] == "not-identified"


@pytest.mark.parametrize(
    ("event", "flag", "active"),
    [
        ("MAD", "", True),
        ("MUP", "A", True),
        ("MAC", "", True),
        ("MDC", "A", False),
        ("MDL", "", False),
        ("MUP", "I", False),
    ],
)
def test_what_is_done_to_an_entry_says_whether_somebody_works_here(
    mapped: Map, event: str, flag: str, active: bool
) -> None:
    lines = (f"MFE|{event}|1|20260401|D01", stf(f7=flag))
    for kind in ("Practitioner", "PractitionerRole"):
        (found,), _ = made(mapped, "MFN^M02", kind, "MFI|STF", *lines)
        assert found["active"] is active


def test_an_entry_is_the_person_whom_orders_name(mapped: Map) -> None:
    lines = ("MFI|STF", "MFE|MAD|1|20260401|D01", stf())
    order = (pid(), "ORC|NW|O1||||||||||D01^周^大夫", "OBR|1|O1||X^y^L")
    for kind in ("Practitioner", "PractitionerRole"):
        (listed,), _ = made(mapped, "MFN^M02", kind, *lines)
        named, _ = made(mapped, "ORM^O01", kind, *order)
        assert listed["id"] in {each["id"] for each in named}


def test_an_entry_is_the_place_that_visits_name(mapped: Map) -> None:
    (listed,), _ = made(mapped, "MFN^M05", "Location", "MFI|LOC", "MFE|MAD|1|20260401|内科|PL", "LOC|内科|一楼")
    named, _ = made(mapped, "ADT^A04", "Location", pid(), segment("PV1", f2="I", f3="内科^301", f19="V1"))
    assert listed["id"] in {each["id"] for each in named}
    assert (listed["status"], listed["description"]) == ("active", "一楼")


def test_an_entry_without_key_and_a_message_without_entries_are_held(mapped: Map) -> None:
    assert held(mapped, "MFN^M02", "MFI|STF", "MFE|MAD|1|20260401|", "STF||")[:2] == ("not-identified", "staff-id")
    assert held(mapped, "MFN^M02", "MFI|STF") == ("segment-missing", "needs", "MFE")
    assert held(mapped, "MFN^M05", "MFI|LOC", "MFE|MAD|1|20260401|")[:2] == ("not-identified", "place-id")
