"""Units with a power of ten keep it, whether the laboratory escaped its `^` or not."""

from __future__ import annotations

import pytest

from engine.mapping.functions.powers import whole_unit
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
