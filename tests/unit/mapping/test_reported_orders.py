"""An order that a result mentions is completed once its report is final, unless the sender says how it stands."""

from __future__ import annotations

import pytest

from engine.mapping import MappingSet
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid
from tests.unit.mapping.test_lens import lines, read, written


def states(mapped: Map, *segments: str, message: str = "ORU^R01") -> list[str]:
    result = mapped(message, pid(), *segments)
    return [each["status"] for each in result.resources if each["resourceType"] == "ServiceRequest"]


@pytest.mark.parametrize(
    ("control", "stated", "report", "state"),
    [
        ("RE", "", "F", "completed"),
        ("RE", "", "C", "completed"),
        ("", "", "F", "completed"),
        ("NW", "", "F", "completed"),
        ("RE", "", "P", "active"),
        ("RE", "", "A", "active"),
        ("RE", "", "I", "active"),
        ("RE", "", "X", "active"),
        ("RE", "", "", "active"),
        ("RE", "", "??", "active"),
        ("RE", "IP", "F", "active"),
        ("RE", "A", "F", "active"),
        ("RE", "CM", "P", "completed"),
        ("CA", "", "F", "revoked"),
        ("OC", "CM", "F", "revoked"),
        ("HD", "", "F", "on-hold"),
    ],
)
def test_the_state_of_an_order_from_its_report(mapped: Map, control: str, stated: str, report: str, state: str) -> None:
    assert states(mapped, f"ORC|{control}|PL1|FL1||{stated}", obr(f25=report)) == [state]


def test_a_result_without_an_orc_says_it_too(mapped: Map) -> None:
    assert states(mapped, obr(f25="F"), obx("NM", "5")) == ["completed"]


@pytest.mark.parametrize(
    ("reports", "state"), [("FF", "completed"), ("FP", "active"), ("PF", "active"), ("FC", "completed")]
)
def test_an_order_in_several_parts_is_completed_when_they_all_are(mapped: Map, reports: str, state: str) -> None:
    parts = [obr(f1=str(at), f3=f"FL{at}", f4=f"T{at}^^L", f25=each) for at, each in enumerate(reports)]
    assert states(mapped, *parts) == [state]


@pytest.mark.parametrize("message", ["OUL^R22", "OUL^R24"])
def test_results_by_specimen_and_by_order_say_it_too(mapped: Map, message: str) -> None:
    segments = ("SPM|1|S1||SER", obr(f25="F")) if message == "OUL^R22" else (obr(f25="F"), "SPM|1|S1||SER")
    assert states(mapped, *segments, message=message) == ["completed"]


def test_an_open_order_with_a_final_report_is_written_as_open(mapped: Map, mappings: MappingSet) -> None:
    before = mapped("ORU^R01", pid(), "ORC|RE|PL1|FL1||IP", obr(f25="F"), obx("NM", "5", f6="%")).resources
    message = written(mappings, "ORU^R01", before)
    assert next(line for line in lines(message) if line.startswith("ORC")).split("|")[5] == "IP"
    again = [each["status"] for each in read(mappings, message.payload).resources if "intent" in each]
    assert again == ["active"]
