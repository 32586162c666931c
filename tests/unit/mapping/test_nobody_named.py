"""A time or a number that got into the place of a person becomes nobody, and a finding says where."""

from __future__ import annotations

import pytest

from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment

TIME = "20260403090000"


def people(mapped: Map, message_type: str, *segments: str) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The names of the Practitioners, else their numbers; code, field and rule of the findings about nobody."""
    result = mapped(message_type, *segments)
    those = [each for each in result.resources if each["resourceType"] == "Practitioner"]
    names = [each["name"][0]["text"] if "name" in each else each["identifier"][0]["value"] for each in those]
    return names, [
        (each.code, each.location or "", each.rule or "") for each in result.findings if each.code == "no-person"
    ]


@pytest.mark.parametrize(
    "shifted",
    [TIME, f"^^^{TIME}^20260403093000", f"^^M45^{TIME}", "202604030900", f"{TIME}.25+0800", "^20260403", "^30", "^1.5"],
)
def test_the_time_of_a_shifted_appointment_is_nobody(mapped: Map, shifted: str) -> None:
    names, findings = people(mapped, "SIU^S12", segment("SCH", f2="A1", f12=shifted, f16="D02^钱^护士"), pid())
    assert names == ["钱护士"]
    assert [(code, rule) for code, _, rule in findings] == [("no-person", "sch-12")]
    assert findings[0][1].startswith("SCH-12[1].")


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("D01^王^医师", "王医师"),
        ("D01", "D01"),
        ("20190412", "20190412"),
        ("300123", "300123"),
        ("202004150023^王^医师", "王医师"),
        ("D9^医师3^甲", "甲 医师3"),
        ("D9^Smith^J 3", "J 3 Smith"),
        ("^张**", "张**"),
    ],
)
def test_people_with_numbers_and_numbered_names_are_people(mapped: Map, field: str, name: str) -> None:
    names, findings = people(mapped, "SIU^S12", segment("SCH", f2="A1", f12=field), pid())
    assert (names, findings) == ([name], [])


def test_somebody_whose_name_is_a_number_is_known_by_the_own_number(mapped: Map) -> None:
    names, findings = people(mapped, "SIU^S12", segment("SCH", f2="A1", f12="D01^30"), pid())
    assert (names, findings) == (["D01"], [("no-person", "SCH-12[1].2", "sch-12")])


@pytest.mark.parametrize(
    ("message_type", "segments", "field", "rule"),
    [
        ("ADT^A01", (segment("PV1", f2="I", f7=TIME, f19="V1"),), "PV1-7[1].1", "pv1-7"),
        (
            "ORM^O01",
            (segment("ORC", f1="NW", f2="1", f12=f"^{TIME}"), segment("OBR", f4="X")),
            "ORC-12[1].2",
            "requester",
        ),
        (
            "ORU^R01",
            (segment("OBR", f3="1", f4="X", f25="F", f32=f"&{TIME}"), segment("OBX", f2="ST", f3="X", f11="F")),
            "OBR-32[1].2",
            "interpreter",
        ),
        ("ADT^A01", (segment("PV1", f2="I", f19="V1"), segment("ROL", f3="AT", f4=TIME)), "ROL-3[1].1", "rol"),
        ("REF^I12", (segment("RF1", f6="1"), segment("PRD", f1="RT", f2=TIME)), "PRD-1[1].1", "prd-to"),
        ("MDM^T02", (segment("TXA", f2="X", f9=TIME, f12="1"),), "TXA-9[1].1", "txa-9"),
    ],
    ids=["visit", "order", "interpreter", "role", "referral", "document"],
)
def test_whoever_reads_people_makes_nobody_of_a_time(
    mapped: Map, message_type: str, segments: tuple[str, ...], field: str, rule: str
) -> None:
    patient_last = message_type.startswith("REF")
    body = (segments[0], *segments[1:], pid()) if patient_last else (pid(), *segments)
    names, findings = people(mapped, message_type, *body)
    assert names == []
    assert ("no-person", field, rule) in findings
