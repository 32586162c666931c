"""Vaccinations: what makes them the same one, and whether they were given."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_messages_of_others import validate


def rxa(**fields: str) -> str:
    return segment("RXA", **{"f3": "20260401", "f5": "02^乙肝疫苗^L", **fields})


def immunizations(mapped: Map, *segments: str) -> list[dict[str, Any]]:
    result = mapped("VXU^V04", pid(), *segments)
    for resource in result.resources:
        validate(resource)
    return [each for each in result.resources if each["resourceType"] == "Immunization"]


@pytest.mark.parametrize(
    ("completion", "action", "status"),
    [
        ("", "", "completed"),
        ("CP", "A", "completed"),
        ("PA", "", "completed"),
        ("RE", "", "not-done"),
        ("NA", "U", "not-done"),
        ("CP", "D", "entered-in-error"),
    ],
)
def test_completion_and_action_make_one_status(mapped: Map, completion: str, action: str, status: str) -> None:
    found = immunizations(mapped, "ORC|RE||V1", rxa(f20=completion, f21=action))
    assert [each["status"] for each in found] == [status]


def test_a_vaccination_that_is_corrected_stays_the_same_one(mapped: Map) -> None:
    first = immunizations(mapped, "ORC|RE||V1", rxa(f15="A"))
    again = immunizations(mapped, "ORC|RE||V1", rxa(f3="20260402", f15="B"))
    assert first[0]["id"] == again[0]["id"]


def test_vaccinations_without_a_number_are_told_apart_by_vaccine_and_time(mapped: Map) -> None:
    found = immunizations(mapped, rxa(), rxa(f5="08^百白破^L"), rxa(f3="20260501"))
    assert len({each["id"] for each in found}) == 3


@pytest.mark.parametrize(("amount", "expected"), [("0.50", "0.50"), ("０.５", "0.5"), ("999", None), ("", None)])
def test_an_amount_keeps_its_digits_and_999_is_none(mapped: Map, amount: str, expected: str | None) -> None:
    found = immunizations(mapped, rxa(f6=amount, f7="mL"))[0].get("doseQuantity")
    assert (str(found["value"]) if found else None) == expected


@pytest.mark.parametrize(
    ("further", "found"),
    [
        ("RXR|PO^口服^L", {"repetition-not-mapped"}),
        ("RXR|IM^肌内^L|RA^右上臂^L", {"repetition-not-mapped"}),
        ("RXR|IM^肌内^L|LA^左上臂^L", set()),
        ("RXR|", set()),
    ],
)
def test_a_further_route_or_site_of_a_vaccine_is_said_and_not_taken(mapped: Map, further: str, found: set[str]) -> None:
    result = mapped("VXU^V04", pid(), "ORC|RE||V1", rxa(), "RXR|IM^肌内^L|LA^左上臂^L", further)
    (made,) = [each for each in result.resources if each["resourceType"] == "Immunization"]
    assert made["route"]["text"] == "肌内"
    assert made["site"]["text"] == "左上臂"
    assert {finding.code for finding in result.findings} == found
