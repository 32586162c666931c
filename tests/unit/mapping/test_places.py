"""Where the patient is: one bed is one place however much of it is said, and nobody is in a bed after the discharge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.codecs import er7
from engine.mapping import MappingSet
from engine.mapping.registry import FUNCTIONS, Options
from engine.mapping.scope import Scope
from engine.terminology import Tables
from tests.unit.mapping.conftest import CONTEXT, FOLDER, Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_lens import lines, read, written

OURS = replace(CONTEXT, calls_itself=frozenset({"BSXWSY", "白石乡卫生院"}))


def visit(place: str, patient_class: str = "I", temporary: str = "", discharged: str = "") -> str:
    return segment("PV1", f2=patient_class, f3=place, f11=temporary, f19="V1", f44="20260401", f45=discharged)


def encounter(mapped: Map, event: str, *segments: str) -> dict[str, Any]:
    result = mapped(f"ADT^{event}", pid(), *segments)
    assert result.findings == []
    return next(each for each in result.resources if each["resourceType"] == "Encounter")


def places(mappings: MappingSet, place: str) -> dict[str, dict[str, Any]]:
    """The Locations of an admission, by name."""
    lines = ["MSH|^~\\&|HIS|BSXWSY|HUTONG|QINGXI|20260401083000||ADT^A01|C1|P|2.4", pid(), visit(place)]
    mapping = mappings.find("ADT^A01", "baishi")
    assert mapping is not None
    result = mapping.apply(er7.parse("".join(f"{line}\r" for line in lines).encode(), "utf-8"), OURS)
    return {each["name"]: each for each in result.resources if each["resourceType"] == "Location"}


@pytest.mark.parametrize("own", ["BSXWSY", "白石乡卫生院"])
def test_a_bed_is_the_same_bed_when_the_sender_adds_that_it_is_its_own(mappings: MappingSet, own: str) -> None:
    short, long = places(mappings, "NEI^201^03"), places(mappings, f"NEI^201^03^{own}")
    assert [long[name]["id"] for name in ("NEI", "201", "03")] == [short[name]["id"] for name in ("NEI", "201", "03")]
    assert long["03"]["partOf"]["reference"] == f"Location/{long['201']['id']}"
    assert long["NEI"]["partOf"]["reference"] == f"Location/{long[own]['id']}"


def test_a_ward_of_another_site_is_another_ward(mappings: MappingSet) -> None:
    assert places(mappings, "NEI^201^03^FY2")["03"]["id"] != places(mappings, "NEI^201^03")["03"]["id"]


@pytest.mark.parametrize(
    ("event", "patient_class", "discharged", "stands"),
    [
        ("A01", "I", "", {"status": "active"}),
        ("A05", "P", "", {"status": "planned"}),
        ("A03", "I", "20260403172500", {"status": "completed", "period": {"end": "2026-04-03T17:25:00+08:00"}}),
        ("A08", "I", "20260403172500", {"status": "completed", "period": {"end": "2026-04-03T17:25:00+08:00"}}),
        ("A03", "I", "", {"status": "completed"}),
        ("A13", "I", "", {"status": "active"}),
        ("A11", "I", "", {}),
        ("A11", "I", "20260403172500", {}),
    ],
)
def test_a_place_is_left_when_the_visit_ends(
    mapped: Map, event: str, patient_class: str, discharged: str, stands: dict[str, Any]
) -> None:
    found = encounter(mapped, event, visit("NEI^201^03", patient_class, "XSS", discharged))
    assigned, temporary = ({k: v for k, v in each.items() if k != "location"} for each in found["location"])
    assert assigned == stands
    assert {k: v for k, v in temporary.items() if k != "extension"} == stands
    assert temporary["extension"][0]["url"].endswith("subject-locationClassification")


def test_a_visit_that_ended_is_written_with_the_places_it_ended_in(mapped: Map, mappings: MappingSet) -> None:
    before = mapped("ADT^A03", pid(), visit("NEI^201^03", "I", "XSS", "20260403172500")).resources
    message = written(mappings, "ADT^A03", before)
    pv1 = next(line for line in lines(message) if line.startswith("PV1")).split("|")
    assert (pv1[3], pv1[6], pv1[11], pv1[45]) == ("NEI^201^03", "", "XSS", "20260403172500")
    again = [each for each in read(mappings, message.payload).resources if each["resourceType"] == "Encounter"]
    assert again == [each for each in before if each["resourceType"] == "Encounter"]


@pytest.mark.usefixtures("mappings")
def test_a_row_of_a_facility_that_names_only_the_place_and_the_class_still_reads() -> None:
    tables = Tables.load(FOLDER / "tables")
    read = FUNCTIONS["assigned_place"].make(Options("baishi", tables))
    scope = Scope(CONTEXT, "utf-8", b"")
    assert [read("NK^1", patient_class, scope)["status"] for patient_class in ("I", "P", "")] == [
        "active",
        "planned",
        "active",
    ]
    assert read("NK^1", scope)["status"] == "active"
