"""A visit that nothing says which one it is becomes no Encounter, and never silently."""

from __future__ import annotations

import pytest

from engine.finding import Severity
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment

CODE = "visit-unidentified"
ORDERED = ("ORC|RE|L1|F1", "OBR|1|L1|F1|GLU^葡萄糖^L|||20260401080000||||||||||||||||||F")


@pytest.mark.parametrize("event", ["A01", "A03", "A04", "A08", "A11", "A13"])
def test_whoever_tells_of_a_visit_without_saying_which_is_warned_where_the_number_should_stand(
    mapped: Map, event: str
) -> None:
    result = mapped(f"ADT^{event}", pid(), segment("PV1", f2="I", f3="内科^2^5"))
    (finding,) = result.findings
    assert (finding.code, finding.severity, finding.rule) == (CODE, Severity.WARNING, "visit-id")
    assert (finding.location or "").startswith("PV1-19")
    assert "PV1-44" in finding.text
    assert "Encounter" not in {resource["resourceType"] for resource in result.resources}


@pytest.mark.parametrize(
    ("message_type", "before", "after"),
    [("ORU^R01", (), ORDERED), ("ADT^A31", (), ()), ("ADT^A28", (), ()), ("ADT^A40", ("MRG|P2",), ())],
)
def test_a_message_that_merely_mentions_it_is_noted(
    mapped: Map, message_type: str, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    findings = mapped(message_type, pid(), *before, segment("PV1", f2="O"), *after).findings
    assert [(each.code, each.severity) for each in findings] == [(CODE, Severity.INFORMATION)]


@pytest.mark.parametrize("fields", [{"f19": "V1"}, {"f44": "20260401080000"}, {"f2": "N"}, {"f2": "n"}])
def test_a_visit_that_is_known_or_that_there_is_none_of_is_not_told_of(mapped: Map, fields: dict[str, str]) -> None:
    found = mapped("ADT^A31", pid(), segment("PV1", **({"f2": "O"} | fields))).findings
    assert [each.code for each in found] == []


def test_a_message_without_pv1_says_nothing_of_a_visit(mapped: Map) -> None:
    assert mapped("ADT^A31", pid()).findings == []


def test_a_deleted_number_is_no_number(mapped: Map) -> None:
    assert [each.code for each in mapped("ADT^A08", pid(), segment("PV1", f2="O", f19='""')).findings] == [CODE]
