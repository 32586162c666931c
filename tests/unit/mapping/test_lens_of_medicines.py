"""Prescriptions, dispensings, administrations, charges and master files become messages a hospital takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.errors import MappingError
from engine.mapping import MappingSet
from engine.mapping.lens.apart import contained_apart, resources_of_bundle
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid
from tests.unit.mapping.test_lens import Endpoint, lines, lost, written

PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"system": "http://example.org/mrn", "value": "0009812"}],
    "name": [{"text": "陈小红"}],
}
OF_PATIENT = {"subject": {"reference": "Patient/p"}}
MEDICINE = {"coding": [{"system": "http://example.org/drugs", "code": "869", "display": "阿莫西林胶囊"}]}
PRESCRIPTION: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "id": "r",
    "identifier": [{"system": "http://example.org/rx", "value": "CF1"}],
    "status": "active",
    "intent": "order",
    "medicationCodeableConcept": MEDICINE,
    **OF_PATIENT,
    "requester": {"display": "李建国"},
    "dosageInstruction": [
        {
            "text": "口服，一次2粒，一日3次",
            "timing": {"repeat": {"frequency": 3, "period": Decimal(1), "periodUnit": "d"}},
            "route": {"text": "口服"},
            "doseAndRate": [{"doseQuantity": {"value": Decimal(2), "unit": "粒"}}],
        }
    ],
}
DISPENSE: dict[str, Any] = {
    "resourceType": "MedicationDispense",
    "id": "d",
    "identifier": [{"system": "http://example.org/dispensing", "value": "FY1"}],
    "status": "completed",
    "medicationCodeableConcept": MEDICINE,
    **OF_PATIENT,
    "authorizingPrescription": [{"reference": "MedicationRequest/r"}],
    "quantity": {"value": Decimal(1), "unit": "盒"},
    "whenHandedOver": "2026-04-01T09:45:00+08:00",
}
GIVEN: dict[str, Any] = {
    "resourceType": "MedicationAdministration",
    "id": "a",
    "status": "completed",
    "medicationCodeableConcept": MEDICINE,
    **OF_PATIENT,
    "effectiveDateTime": "2026-04-01T10:00:00+08:00",
    "request": {"reference": "MedicationRequest/r"},
}
CHARGE: dict[str, Any] = {
    "resourceType": "ChargeItem",
    "id": "c",
    "identifier": [{"value": "SF1"}],
    "status": "billable",
    "code": {"coding": [{"system": "http://example.org/items", "code": "2501"}], "text": "血常规检查"},
    **OF_PATIENT,
    "occurrenceDateTime": "2026-04-01",
    "quantity": {"value": Decimal(1)},
    "priceOverride": {"value": Decimal("20.00"), "currency": "CNY"},
}


def segments(mappings: MappingSet, message_type: str, *resources: Any, version: str = "2.5.1") -> list[str]:
    """The segments behind PID."""
    found = lines(written(mappings, message_type, [PATIENT, *resources], endpoint=Endpoint(version)))
    return [line for line in found if line.split("|", 1)[0] not in ("MSH", "EVN", "PID")]


def test_a_prescription_of_another_hand_is_one_that_a_pharmacy_takes(mappings: MappingSet) -> None:
    assert segments(mappings, "RDE^O11", PRESCRIPTION) == [
        "ORC|NW|CF1||||||||||^李建国",
        "RXE||869^阿莫西林胶囊^http://example.org/drugs|2||粒",
        "TQ1|1||TID||||||||口服，一次2粒，一日3次",
        "RXR|^口服",
    ]


def test_before_tq1_the_times_stand_in_rxe_1(mappings: MappingSet) -> None:
    assert segments(mappings, "RDE^O01", PRESCRIPTION, version="2.3")[1].startswith("RXE|1^TID^^^^^^口服，一次2粒")


def test_what_the_pharmacy_made_of_an_order_stands_with_the_order(mappings: MappingSet) -> None:
    ordered = {**PRESCRIPTION, "id": "o", "intent": "original-order"}
    encoded = {**PRESCRIPTION, "intent": "filler-order", "basedOn": [{"reference": "MedicationRequest/o"}]}
    other = {**PRESCRIPTION, "id": "r2", "identifier": [{"value": "CF2"}]}
    names = [line[:3] for line in segments(mappings, "RDE^O11", encoded, ordered, other)]
    assert names == ["ORC", "TQ1", "RXO", "RXR", "RXE", "TQ1", "RXR", "ORC", "RXE", "TQ1", "RXR"]


def test_each_dispensing_is_an_order_of_its_own_with_its_prescription(mappings: MappingSet) -> None:
    again = {**DISPENSE, "id": "d2", "identifier": [{"value": "FY2"}], "whenHandedOver": "2026-04-02"}
    found = segments(mappings, "RDS^O13", PRESCRIPTION, DISPENSE, again)
    assert [line[:3] for line in found] == ["ORC", "RXE", "TQ1", "RXR", "RXD"] * 2
    assert [line for line in found if line[:3] in ("ORC", "RXD")] == [
        "ORC|RE|CF1|FY1|||||||||^李建国",
        "RXD|1|869^阿莫西林胶囊^http://example.org/drugs|20260401094500|1|盒||CF1",
        "ORC|RE|CF1|FY2|||||||||^李建国",
        "RXD|1|869^阿莫西林胶囊^http://example.org/drugs|20260402|1|盒||CF1",
    ]


def test_several_administrations_of_one_prescription_stand_under_one_order(mappings: MappingSet) -> None:
    refused = {**GIVEN, "id": "a2", "status": "not-done", "effectiveDateTime": "2026-04-01T18:00:00+08:00"}
    found = segments(mappings, "RAS^O17", PRESCRIPTION, GIVEN, refused)
    assert [line[:3] for line in found] == ["ORC", "RXE", "TQ1", "RXR", "RXA", "RXA"]
    drug = "869^阿莫西林胶囊^http://example.org/drugs"
    assert found[-2:] == [
        f"RXA|0|1|20260401100000|20260401100000|{drug}|999||||||||||||||CP",
        f"RXA|0|1|20260401180000|20260401180000|{drug}|999||||||||||||||NA",
    ]


def test_charges_keep_their_procedures_and_the_visit_its_diagnoses(mappings: MappingSet) -> None:
    procedure = {"resourceType": "Procedure", "id": "pr", "status": "completed", "code": {"text": "采血"}, **OF_PATIENT}
    diagnosis = {"resourceType": "Condition", "id": "co", "code": {"text": "扁桃体炎"}, **OF_PATIENT}
    drawn = {**CHARGE, "service": [{"reference": "Procedure/pr"}]}
    other = {**CHARGE, "id": "c2", "identifier": [{"value": "SF2"}], "status": "aborted"}
    procedure["performedDateTime"] = "2026-04-01"
    assert segments(mappings, "DFT^P03", drawn, other, procedure, diagnosis) == [
        "FT1|1|SF1||20260401||CG|2501^^http://example.org/items|血常规检查||1|20.00&CNY",
        "PR1|1||^采血||20260401",
        "FT1|2|SF2||20260401||CD|2501^^http://example.org/items|血常规检查||1|20.00&CNY",
        "DG1|1||^扁桃体炎|||W",
    ]


def test_a_person_and_what_he_is_here_are_one_entry(mappings: MappingSet) -> None:
    card = {"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231002X"}
    license_ = {"type": {"coding": [{"code": "MD"}]}, "value": "1103"}
    person = {
        "resourceType": "Practitioner",
        "id": "s",
        "active": True,
        "identifier": [card, {"system": "http://example.org/staff", "value": "1023"}, license_],
        "name": [{"family": "李", "given": ["建国"]}],
    }
    role = {
        "resourceType": "PractitionerRole",
        "id": "sr",
        "practitioner": {"reference": "Practitioner/s"},
        "code": [{"text": "医师"}],
    }
    gone = {**person, "id": "s2", "active": False, "identifier": [{"value": "1024"}]}
    result = written(mappings, "MFN^M02", [person, role, gone])
    assert lines(result)[1:] == [
        "MFI|STF^Staff^HL70175||UPD|||NE",
        "MFE|MUP|||1023|CWE",
        "STF|1023|11010519491231002X^^^^NNCHN|李^建国|^医师|||A",
        "PRA|1023|||||1103^MD",
        "MFE|MDC|||1024|CWE",
        "STF|1024||李^建国||||I",
    ]


def test_places_are_entries_with_their_name_beside_their_number(mappings: MappingSet) -> None:
    ward = {
        "resourceType": "Location",
        "id": "w",
        "status": "active",
        "name": "内科一病区",
        "identifier": [{"value": "NK1"}],
    }
    assert lines(written(mappings, "MFN^M05", [ward]))[1:] == [
        "MFI|LOC^Location^HL70175||UPD|||NE",
        "MFE|MUP|||NK1|PL",
        "LOC|NK1|内科一病区",
    ]


@pytest.mark.parametrize(
    ("message_type", "resource", "state"),
    [
        ("RDE^O11", PRESCRIPTION, "draft"),
        ("RDS^O13", DISPENSE, "preparation"),
        ("RAS^O17", GIVEN, "in-progress"),
        ("DFT^P03", CHARGE, "planned"),
    ],
)
def test_nobody_is_told_that_something_is_so_which_is_not(
    mappings: MappingSet, message_type: str, resource: dict[str, Any], state: str
) -> None:
    with pytest.raises(MappingError) as caught:
        written(mappings, message_type, [PATIENT, {**resource, "status": state}])
    assert caught.value.code == "not-writable"


def test_a_mixture_in_the_resource_itself_becomes_its_components(mappings: MappingSet) -> None:
    def part(code: str, active: bool, amount: str) -> dict[str, Any]:
        strength = {"numerator": {"value": Decimal(amount), "unit": "g"}, "denominator": {"value": Decimal(1)}}
        return {"itemCodeableConcept": {"coding": [{"code": code}]}, "isActive": active, "strength": strength}

    mixed = {
        "resourceType": "Medication",
        "id": "m",
        "code": {"text": "葡萄糖加维C"},
        "ingredient": [part("GLU", False, "12.5"), part("VC", True, "2.0")],
    }
    drug = {name: each for name, each in PRESCRIPTION.items() if name != "medicationCodeableConcept"}
    resource = {**drug, "contained": [mixed], "medicationReference": {"reference": "#m"}}
    result = written(mappings, "RDE^O11", [PATIENT, resource])
    assert [line for line in lines(result) if line[:3] in ("RXE", "RXC")] == [
        "RXE||^葡萄糖加维C|2||粒",
        "RXC|B|GLU|||12.5|g",
        "RXC|A|VC|||2.0|g",
    ]
    assert not any(kind == "Medication" and path.endswith("value") for kind, path in lost(result))


def test_what_a_bundle_creates_is_known_by_its_url() -> None:
    entries = [
        {"fullUrl": "urn:uuid:1-2", "resource": {"resourceType": "Patient"}},
        {"resource": {"resourceType": "ChargeItem", "id": "c", "subject": {"reference": "urn:uuid:1-2"}}},
    ]
    patient, charge = resources_of_bundle({"resourceType": "Bundle", "entry": entries})
    assert (patient["id"], charge["subject"]["reference"]) == ("1-2", "Patient/1-2")


@pytest.mark.parametrize("entries", [None, "x", [], [None], [{"resource": 7}], [{"fullUrl": "urn:uuid:1"}]])
def test_a_bundle_of_nothing_is_no_error_here(entries: Any) -> None:
    assert not any(isinstance(each, dict) for each in resources_of_bundle({"entry": entries}))


def test_a_contained_resource_stands_behind_the_one_that_contains_it() -> None:
    inside = {"resourceType": "Medication", "id": "m", "x": {"reference": "#m2"}}
    whole = {
        "resourceType": "MedicationRequest",
        "id": "r",
        "contained": [inside, {"resourceType": "A", "id": "m2"}, 7],
    }
    outer, first, second = contained_apart([{**whole, "y": [{"reference": "#m"}, {"reference": "#other"}]}])
    assert outer == {
        "resourceType": "MedicationRequest",
        "id": "r",
        "y": [{"reference": "Medication/r.m"}, {"reference": "#other"}],
    }
    assert (first["id"], first["x"], second["id"]) == ("r.m", {"reference": "A/r.m2"}, "r.m2")


def test_before_tq1_a_number_of_days_keeps_its_unit(mapped: Map, mappings: MappingSet) -> None:
    first = mapped("RDE^O11", pid(), "ORC|NW|P1", "RXE|1^BID^D5|A1^甲^L|1||片").resources
    found = lines(written(mappings, "RDE^O01", first, endpoint=Endpoint("2.3")))
    assert found[-1] == "RXE|1^BID^D5|A1^甲^L|1||片"


def test_a_comment_stays_with_its_segment_where_the_version_has_no_place_for_it(
    mapped: Map, mappings: MappingSet
) -> None:
    body = ("ORC|RE|P1", "RXE||A1^甲^L|1||片", "NTE|1||已审方", "RXD|1|A1^甲^L|20260401|10|片||P1", "NTE|1||已交付")
    first = mapped("RDS^O13", pid(), *body).resources
    found = lines(written(mappings, "RDS^O01", first, endpoint=Endpoint("2.3")))
    assert [line[:3] for line in found] == ["MSH", "PID", "ORC", "RXE", "NTE", "RXD", "NTE"]
