"""Units with a power of ten keep it, whether the laboratory escaped its `^` or not."""

from __future__ import annotations

import pytest

from engine.mapping.functions.powers import amount_and_unit, whole_unit
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, obx, pid

POWERS = [
    ("10^9/L", "10^9/L"),
    ("10\\S\\9/L", "10^9/L"),
    ("10*9/L", "10*9/L"),
    ("x10^12/L", "x10^12/L"),
    ("×10^9/L", "×10^9/L"),
    ("*10^9/L", "*10^9/L"),
    ("10^6copies/mL", "10^6copies/mL"),
    ("10^9", "10^9"),
    ("10^9/L^10^9/L", "10^9/L"),
    ("10*9/L^10^9/L^UCUM", "10^9/L"),
    ("g/L^克每升^L", "克每升"),
    ("10^毫升", "毫升"),
]


@pytest.mark.parametrize(("sent", "unit"), POWERS)
def test_a_unit_keeps_its_power_of_ten(mapped: Map, sent: str, unit: str) -> None:
    result = mapped("ORU^R01", pid(), obr(), obx("NM", "6.2", f6=sent))
    found = next(r for r in result.resources if r["resourceType"] == "Observation")
    assert found["valueQuantity"]["unit"] == unit


@pytest.mark.parametrize("sent", ["", "g/L", "10", "110^9/L", "10^", "10^x", "mL^毫升", "A10^9/L", "10^123/L"])
def test_what_is_no_power_of_ten_stays_as_it_was_sent(sent: str) -> None:
    assert whole_unit(sent) == sent


@pytest.mark.parametrize(
    ("sent", "parts"),
    [
        ("5^10^9/L", ("5", "10\\S\\9/L")),
        ("5^10\\S\\9/L", ("5", "10\\S\\9/L")),
        ("5^10^9/L&10^9/L&UCUM", ("5", "10\\S\\9/L^10\\S\\9/L^UCUM")),
        ("30^min&minute&ISO+", ("30", "min^minute^ISO+")),
        ("10^毫升", ("10", "毫升")),
        ("10", ("10", "")),
        ("", ("", "")),
    ],
)
def test_an_amount_with_its_unit_keeps_the_power_of_ten(sent: str, parts: tuple[str, str]) -> None:
    assert amount_and_unit(sent) == parts


def test_a_power_of_ten_stays_whole_wherever_an_amount_brings_its_unit(mapped: Map) -> None:
    segments = (obr(), obx("CQ", "5^10^9/L"), "SPM|1|S1||BLD^血^L||||||||5^10^9/L")
    found = {each["resourceType"]: each for each in mapped("ORU^R01", pid(), *segments).resources}
    assert found["Observation"]["valueQuantity"]["unit"] == "10^9/L"
    assert found["Specimen"]["collection"]["quantity"]["unit"] == "10^9/L"
    dose = mapped("RDE^O11", pid(), "ORC|NW|P1", "RXE||A1^甲^L", "TQ1|1|5^10^9/L").resources
    (prescription,) = (each for each in dose if each["resourceType"] == "MedicationRequest")
    assert prescription["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"]["unit"] == "10^9/L"
