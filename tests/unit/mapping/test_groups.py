"""Repeating groups keep their structure, whatever is missing or out of order."""

from __future__ import annotations

from typing import Any

from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid, segment


def of(resources: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [resource for resource in resources if resource["resourceType"] == kind]


def test_each_order_has_its_own_results_comments_and_specimens(mapped: Map) -> None:
    result = mapped(
        "ORU^R01",
        pid(),
        "ORC|RE|PL1|FL1",
        obr(),
        obx("ST", "a"),
        "NTE|1||一",
        "NTE|2||二",
        obx("ST", "b", f3="K^钾^L"),
        "SPM|1|S1",
        "ORC|RE|PL2|FL2",
        obr(f2="PL2", f3="FL2"),
        obx("ST", "c"),
        "SPM|1|S2",
    )
    reports, results = of(result.resources, "DiagnosticReport"), of(result.resources, "Observation")
    assert [len(report["result"]) for report in reports] == [2, 1]
    assert reports[0]["result"][0]["reference"] == f"Observation/{results[0]['id']}"
    assert [note["text"] for note in results[0]["note"]] == ["一", "二"]
    assert "note" not in results[1]
    specimens = of(result.resources, "Specimen")
    assert [one["specimen"]["reference"] for one in results] == [f"Specimen/{specimens[at]['id']}" for at in (0, 0, 1)]
    orders = of(result.resources, "ServiceRequest")
    assert reports[1]["basedOn"] == [{"reference": f"ServiceRequest/{orders[1]['id']}"}]


def test_an_obr_without_orc_begins_the_next_order(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("ST", "a"), obr(f2="PL2", f3="FL2"), obx("ST", "b"))
    assert [len(report["result"]) for report in of(result.resources, "DiagnosticReport")] == [1, 1]


def test_two_specimens_are_not_guessed_between(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("ST", "a"), "SPM|1|S1", "SPM|2|S2")
    assert "specimen" not in of(result.resources, "Observation")[0]
    assert len(of(result.resources, "DiagnosticReport")[0]["specimen"]) == 2


def test_two_patients_keep_their_results_apart(mapped: Map) -> None:
    result = mapped(
        "ORU^R01", pid(), obr(), obx("ST", "a"), pid(f3="P2^^^HIS^MR"), obr(f2="PL2", f3="FL2"), obx("ST", "b")
    )
    patients = [f"Patient/{patient['id']}" for patient in of(result.resources, "Patient")]
    assert [one["subject"]["reference"] for one in of(result.resources, "Observation")] == patients


def test_the_same_result_twice_is_two_results(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("ST", "a"), obx("ST", "b"), obx("ST", "c", f4="1"))
    assert len({one["id"] for one in of(result.resources, "Observation")}) == 3


def test_a_result_and_its_order_agree_on_the_id_of_the_order(mapped: Map) -> None:
    order = of(mapped("ORM^O01", pid(), "ORC|NW|PL1", obr(f3="", f25="")).resources, "ServiceRequest")[0]
    report = of(mapped("ORU^R01", pid(), obr(), obx("ST", "a")).resources, "DiagnosticReport")[0]
    assert report["basedOn"] == [{"reference": f"ServiceRequest/{order['id']}"}]


def test_two_facilities_with_the_same_numbers_never_meet(mapped: Map) -> None:
    here = mapped("ORM^O01", pid(), "ORC|NW|PL1", obr())
    there = mapped("ORM^O01", pid(), "ORC|NW|PL1", obr(), facility="qingxi")
    assert {r["id"] for r in here.resources}.isdisjoint({r["id"] for r in there.resources})


def test_what_a_message_merely_mentions_never_overwrites(mapped: Map) -> None:
    result = mapped(
        "ORU^R01", pid(), segment("PV1", f2="I", f19="V1"), obr(f16="D1^赵大夫"), obx("ST", "a", f16="D2^钱技师")
    )
    mentioned = {reference.partition("/")[0] for reference in result.only_if_missing}
    assert mentioned == {"Encounter", "ServiceRequest", "Practitioner", "PractitionerRole"}


def test_fields_no_rule_takes_are_listed_once_each(mapped: Map) -> None:
    result = mapped(
        "ORU^R01", pid(f31="x"), obr(f40="y"), obx("ST", "a", f22="z"), obx("ST", "b", f22="z"), "ZXX|1|什么"
    )
    assert result.unmapped == ["PID-31", "OBR-40", "OBX-22", "ZXX-1", "ZXX-2"]


def test_a_segment_of_no_group_disturbs_nothing(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), "ZDX|1", obx("ST", "a"), "ZDY|2", "NTE|1||说明")
    assert of(result.resources, "Observation")[0]["note"] == [{"text": "说明"}]


def test_what_a_group_holds_itself_is_not_taken_by_a_group_deep_inside(mapped: Map) -> None:
    specimen = "SPM|1|S1||BLD^血^L"
    result = mapped("OUL^R22", pid(), specimen, obx("ST", "溶血"), obr(), obx("NM", "5"))
    assert [each["valueQuantity"]["value"] for each in of(result.resources, "Observation")] == [5]
    assert "OBX-5" in result.unmapped


def test_a_specimen_that_is_told_of_twice_is_referred_to_once(mapped: Map) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("NM", "5.1"), "SPM|1|S1||BLD", "SPM|2|S1||BLD")
    (report,) = of(result.resources, "DiagnosticReport")
    assert len(report["specimen"]) == 1
