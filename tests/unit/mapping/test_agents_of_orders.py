"""Who did what to an order: a Provenance names somebody or a device, or there is none and a finding says so."""

from __future__ import annotations

import pytest
from fhir.resources.R4B.provenance import Provenance

from engine.mapping import Mapped
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import obr, pid, segment


def ordered(mapped: Map, **fields: str) -> Mapped:
    return mapped("ORM^O01", pid(), segment("ORC", **{"f1": "NW", "f2": "PL1", **fields}), obr())


def provenances(result: Mapped) -> list[dict[str, object]]:
    return [each for each in result.resources if each["resourceType"] == "Provenance"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("f18", "^^L"), ("f10", "202611210835"), ("f11", "^20261121"), ("f19", "^12345")],
)
def test_a_field_that_names_nobody_and_nothing_makes_no_provenance_and_is_told(
    mapped: Map, field: str, value: str
) -> None:
    result = ordered(mapped, **{field: value})
    assert provenances(result) == []
    assert [(each.code, each.rule) for each in result.findings] == [("no-person", "provenance-id")]


@pytest.mark.parametrize(
    ("fields", "agents"),
    [
        ({"f18": "DEV1"}, 1),
        ({"f18": "^分诊台电脑"}, 1),
        ({"f18": "^^^DEV2^^L"}, 1),
        ({"f10": "N1"}, 1),
        ({"f10": "^钱^护士", "f18": "^^L"}, 1),
        ({"f11": "D1^周", "f18": "DEV1"}, 2),
        ({"f10": "20261121", "f18": "DEV1"}, 2),  # a number of eight digits may be a person's
    ],
)
def test_somebody_or_a_device_is_an_agent(mapped: Map, fields: dict[str, str], agents: int) -> None:
    (provenance,) = provenances(ordered(mapped, **fields))
    assert len(Provenance.model_validate(provenance).agent) == agents


def test_what_a_field_says_beside_a_person_is_told_once(mapped: Map) -> None:
    result = ordered(mapped, f10="N1^20261121", f11="D1^周")
    assert len(provenances(result)) == 1
    assert [each.code for each in result.findings].count("no-person") <= 1
