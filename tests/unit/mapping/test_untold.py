"""A segment that nothing identifies is never dropped unseen: an allergy without a code least of all."""

from __future__ import annotations

import pytest

from engine.finding import Severity
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid

CODE = "item-unidentified"


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("AL1|1|DA||SV|皮疹", "AL1"),
        ("IAM|1|DA||SV|皮疹|A", "IAM"),
        ("DG1|1||||20260401|A", "DG1"),
        ("PR1|1||||20260401", "PR1"),
        ("GT1|1||||青溪镇1号", "GT1"),
    ],
)
def test_what_nothing_identifies_is_a_warning_where_that_should_stand(mapped: Map, segment: str, name: str) -> None:
    result = mapped("ADT^A31", pid(), segment)
    (told,) = result.findings
    assert (told.code, told.severity) == (CODE, Severity.WARNING)
    assert (told.location or "").startswith(f"{name}-")
    assert "皮疹" not in told.text
    assert {resource["resourceType"] for resource in result.resources} <= {"Patient", "Provenance"}


def test_what_adds_to_another_resource_is_not_told_of(mapped: Map) -> None:
    """A relative without a name is a contact of the patient."""
    result = mapped("ADT^A31", pid(), "NK1|1||SPO^配偶|青溪镇1号|13800000000")
    assert result.findings == []
    (patient,) = [resource for resource in result.resources if resource["resourceType"] == "Patient"]
    assert patient["contact"]


def test_each_such_segment_is_told_of_by_its_place(mapped: Map) -> None:
    findings = mapped("ADT^A31", pid(), "AL1|1|DA|PEN^青霉素|SV", "AL1|2|DA||SV|皮疹", "AL1|3|DA||MO").findings
    assert [(each.code, each.location) for each in findings] == [(CODE, "AL1[2]-3"), (CODE, "AL1[3]-3")]
    assert len({each.value for each in findings}) == 2


@pytest.mark.parametrize("segment", ["AL1|1", "AL1", "AL1|1||||", 'AL1|1|""|""', "AL1|1|~|||&^"])
def test_a_segment_that_says_nothing_is_not_told_of(mapped: Map, segment: str) -> None:
    assert mapped("ADT^A31", pid(), segment).findings == []


def test_what_is_recorded_is_not_told_of(mapped: Map) -> None:
    assert mapped("ADT^A31", pid(), "AL1|1|DA|PEN^青霉素|SV|皮疹").findings == []
