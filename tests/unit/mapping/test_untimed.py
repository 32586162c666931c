"""A booking whose time stands where nobody looks for it is recorded, and told with the field and what to do."""

from __future__ import annotations

import pytest

from engine.codecs import er7
from engine.finding import Finding, Severity
from engine.mapping import MappingSet
from engine.mapping.untimed import untimed
from tests.unit.mapping.conftest import CONTEXT
from tests.unit.mapping.segments import pid, segment

NUMBERED = {"f1": "P1", "f25": "Booked"}


def told(mappings: MappingSet, *lines: str, event: str = "S12") -> list[Finding]:
    head = f"MSH|^~\\&|HIS|BSXWSY|H|Q|20260401083000||SIU^{event}|C1|P|2.4"
    message = er7.parse("".join(f"{line}\r" for line in (head, *lines)).encode())
    mapping = mappings.find(message.message_type, "baishi")
    assert mapping is not None
    return list(untimed(message, mapping.apply(message, CONTEXT).resources))


def test_the_field_that_holds_the_time_is_named_with_the_row_that_reads_it(mappings: MappingSet) -> None:
    (finding,) = told(mappings, segment("SCH", **NUMBERED, f12="20260518090000"), pid())
    assert (finding.code, finding.severity, finding.location) == (
        "appointment-without-start",
        Severity.WARNING,
        "SCH-12",
    )
    assert "A time stands in SCH-12" in finding.text
    assert 'from: [SCH-12, TQ1-8, SCH-11, SCH-9, SCH-10], to: "start[x]", with: appointment_time' in finding.text


def test_a_booking_without_any_time_is_told_as_well(mappings: MappingSet) -> None:
    (finding,) = told(mappings, segment("SCH", **NUMBERED), pid())
    assert finding.location == "SCH-11"
    assert "A time stands" not in finding.text


def test_a_time_in_a_component_and_in_what_is_booked_is_found(mappings: MappingSet) -> None:
    (finding,) = told(mappings, segment("SCH", **NUMBERED), pid(), "RGS|1|A", "AIP|1|A|D1^李|||||20260518 09:00&x")
    assert finding.location == "SCH-11"
    (finding,) = told(mappings, segment("SCH", **NUMBERED, f9="x^2026-05-18 09:00"), pid())
    assert "SCH-9.2" in finding.text


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"f11": "^^^20260518090000"}, "S12"),
        ({"f11": "20260518090000"}, "S12"),
        ({"f12": "20260518090000"}, "S15"),
        ({"f25": "Waitlist"}, "S12"),
    ],
)
def test_nothing_is_told_of_a_booking_with_a_start_or_of_what_needs_none(
    mappings: MappingSet, fields: dict[str, str], event: str
) -> None:
    assert told(mappings, segment("SCH", **{**NUMBERED, **fields}), pid(), event=event) == []


def test_a_change_that_leaves_the_time_out_is_only_noted(mappings: MappingSet) -> None:
    (finding,) = told(mappings, segment("SCH", **NUMBERED), pid(), event="S14")
    assert finding.severity is Severity.INFORMATION
