"""Appointments: in what state, when, and who and what takes part."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import MappingError
from tests.unit.mapping.conftest import Map
from tests.unit.mapping.segments import pid, segment
from tests.unit.mapping.test_messages_of_others import validate

NINE_TO_TEN = "^^^20260403090000^20260403100000"


def sch(**fields: str) -> str:
    return segment("SCH", **{"f2": "A1", "f11": NINE_TO_TEN, **fields})


def appointment(mapped: Map, *segments: str, event: str = "S12") -> tuple[dict[str, Any], set[str]]:
    """The one appointment, and the codes of the findings."""
    result = mapped(f"SIU^{event}", *segments)
    for resource in result.resources:
        validate(resource)
    (found,) = [each for each in result.resources if each["resourceType"] == "Appointment"]
    return found, {finding.code for finding in result.findings}


@pytest.mark.parametrize(
    ("event", "stated", "status"),
    [
        ("S12", "", "booked"),
        ("S12", "Waitlist", "waitlist"),
        ("S13", "Booked", "booked"),
        ("S14", "Complete", "fulfilled"),
        ("S14", "已到诊", "arrived"),
        ("S15", "Booked", "cancelled"),
        ("S16", "DC", "cancelled"),
        ("S17", "", "entered-in-error"),
        ("S20", "", "booked"),
        ("S26", "Booked", "noshow"),
    ],
)
def test_an_event_that_ends_an_appointment_wins_over_its_stated_state(
    mapped: Map, event: str, stated: str, status: str
) -> None:
    assert appointment(mapped, sch(f25=stated), pid(), event=event)[0]["status"] == status


def test_a_state_that_nobody_knows_is_said_and_the_event_decides(mapped: Map) -> None:
    found, codes = appointment(mapped, sch(f25="？"), pid())
    assert (found["status"], codes) == ("booked", {"code-unmapped"})


@pytest.mark.parametrize("event", ["S12", "S13", "S14", "S15", "S26"])
def test_whatever_happens_to_an_appointment_it_stays_the_same_one(mapped: Map, event: str) -> None:
    first, again = (appointment(mapped, sch(), pid(), event=each)[0] for each in ("S12", event))
    assert first["id"] == again["id"]


def test_appointments_of_two_facilities_with_one_number_are_two(mapped: Map) -> None:
    ids = {
        each["id"]
        for facility in ("baishi", "qingxi")
        for each in mapped("SIU^S12", sch(), pid(), facility=facility).resources
        if each["resourceType"] == "Appointment"
    }
    assert len(ids) == 2


def test_an_occurrence_of_a_series_is_an_appointment_of_its_own(mapped: Map) -> None:
    assert appointment(mapped, sch(f3="1"), pid())[0]["id"] != appointment(mapped, sch(f3="2"), pid())[0]["id"]


@pytest.mark.parametrize(
    ("timing", "amount", "unit", "start", "end"),
    [
        (NINE_TO_TEN, "", "", "2026-04-03T09:00:00+08:00", "2026-04-03T10:00:00+08:00"),
        ("^^^20260403090000", "90", "min", "2026-04-03T09:00:00+08:00", "2026-04-03T10:30:00+08:00"),
        ("^^^20260403090000", "1.5", "小时", "2026-04-03T09:00:00+08:00", "2026-04-03T10:30:00+08:00"),
        ("^^H2^20260403090000", "", "", "2026-04-03T09:00:00+08:00", "2026-04-03T11:00:00+08:00"),
        ("^^^20260403233000+0200", "60", "MIN", "2026-04-03T23:30:00+02:00", "2026-04-04T00:30:00+02:00"),
    ],
)
def test_an_end_that_nobody_writes_follows_from_how_long_it_takes(
    mapped: Map, timing: str, amount: str, unit: str, start: str, end: str
) -> None:
    found, _ = appointment(mapped, sch(f9=amount, f10=unit, f11=timing), pid())
    assert (found["start"], found["end"]) == (start, end)


@pytest.mark.parametrize(
    ("timing", "amount", "unit", "code"),
    [
        ("^^^20260403", "", "", "time-precision"),
        ("^^^20261399", "", "", "time-unreadable"),
        ("^^^20260403100000^20260403090000", "", "", "time-reversed"),
        ("^^^20260403090000", "", "", "appointment-time-incomplete"),
        ("^^L1^20260403090000", "", "", "appointment-time-incomplete"),
        ("^^^20260403090000", "半", "min", "duration-unreadable"),
        ("^^^20260403090000", "30", "斤", "duration-unreadable"),
        ("^^^20260403090000", "9" * 60, "d", "duration-unreadable"),
    ],
)
def test_what_cannot_be_read_as_a_time_is_left_out_and_said(
    mapped: Map, timing: str, amount: str, unit: str, code: str
) -> None:
    found, codes = appointment(mapped, sch(f9=amount, f10=unit, f11=timing), pid())
    assert "end" not in found
    assert code in codes


@pytest.mark.parametrize(
    ("amount", "unit", "minutes"),
    [("30", "min", 30), ("2", "h", 120), ("120", "s", 2), ("90", "s", None), ("0", "min", None)],
)
def test_a_duration_is_whole_minutes_or_left_out(mapped: Map, amount: str, unit: str, minutes: int | None) -> None:
    assert appointment(mapped, sch(f9=amount, f10=unit), pid())[0].get("minutesDuration") == minutes


def test_of_several_services_that_say_when_the_first_counts(mapped: Map) -> None:
    services = [segment("AIS", f1=n, f3=f"S{n}", f4=f"202604030{n}0000", f7="20", f8="min") for n in ("8", "9")]
    found, _ = appointment(mapped, sch(f11=""), pid(), "RGS|1", *services)
    assert (found["start"], found["end"]) == ("2026-04-03T08:00:00+08:00", "2026-04-03T08:20:00+08:00")
    assert [each["coding"][0]["code"] for each in found["serviceType"]] == ["S8", "S9"]


def test_groups_of_resources_may_come_in_any_order_and_before_the_patient(mapped: Map) -> None:
    found, _ = appointment(mapped, sch(), "RGS|1", "AIP|1||D1^周^大夫", "AIL|1||CT室", "AIG|1||CT01^CT机", pid())
    kinds = [each["actor"]["reference"].split("/")[0] for each in found["participant"]]
    assert sorted(kinds) == ["Device", "Location", "Patient", "Practitioner"]


def test_forty_people_are_forty_participants(mapped: Map) -> None:
    people = [f"AIP|{number}||D{number}^医师{number}" for number in range(40)]
    found, _ = appointment(mapped, sch(), pid(), "RGS|1", *people)
    assert len(found["participant"]) == 41


def test_a_message_without_sch_or_without_a_number_is_held_with_its_place(mapped: Map) -> None:
    with pytest.raises(MappingError) as without:
        mapped("SIU^S12", pid(), "RGS|1", "AIP|1||D1^周^大夫")
    assert (without.value.code, without.value.location) == ("segment-missing", "SCH")
    with pytest.raises(MappingError) as unnumbered:
        mapped("SIU^S12", sch(f2=""), pid())
    assert (unnumbered.value.code, unnumbered.value.rule) == ("not-identified", "appointment-id")


@pytest.mark.parametrize("segments", [(), ("RGS|1", "AIP|1||D1^周^大夫"), (pid(), sch(f2="A2"))])
def test_an_appointment_of_nobody_is_held(mapped: Map, segments: tuple[str, ...]) -> None:
    with pytest.raises(MappingError) as held:
        mapped("SIU^S12", sch(), *segments)
    assert (held.value.code, held.value.rule) == ("not-identified", "patient")


def test_every_patient_of_an_appointment_takes_part_in_it(mapped: Map) -> None:
    found, _ = appointment(mapped, sch(), pid(), pid(f3="P2^^^HIS^MR"))
    assert [each["status"] for each in found["participant"]] == ["accepted", "accepted"]
    assert len({each["actor"]["reference"] for each in found["participant"]}) == 2


def test_where_a_participant_comes_from_is_said_of_its_place_in_the_list(mapped: Map) -> None:
    result = mapped("SIU^S12", sch(), pid(), "RGS|1", "AIP|1||D1^周^大夫", "AIP|2||D2^钱^护士", with_sources=True)
    assert {source.path.partition(".")[0] for source in result.sources if source.rule == "aip-3"} == {
        "participant[1]",
        "participant[2]",
    }


@pytest.mark.parametrize(("event", "status"), [("S23", "busy-unavailable"), ("S24", "free")])
def test_a_time_that_is_blocked_and_opened_again_is_the_same_slot(mapped: Map, event: str, status: str) -> None:
    blocked = mapped("SIU^S23", sch(), "RGS|1", "AIP|1||D1^周^大夫").resources
    changed = mapped(f"SIU^{event}", sch(), "RGS|1", "AIP|1||D1^周^大夫").resources
    (before,) = [each for each in blocked if each["resourceType"] == "Slot"]
    (slot,) = [each for each in changed if each["resourceType"] == "Slot"]
    assert (slot["id"], slot["status"]) == (before["id"], status)


def test_a_blocked_time_without_an_end_is_held(mapped: Map) -> None:
    with pytest.raises(MappingError) as held:
        mapped("SIU^S23", sch(f11="^^^20260403090000"), "RGS|1", "AIP|1||D1^周^大夫")
    assert (held.value.code, held.value.rule) == ("not-identified", "aip-slot")


def test_an_appointment_ends_by_the_word_of_what_says_when_it_begins(mapped: Map) -> None:
    doctors = ("AIP|1||D01^周^大夫|||20260403090000", "AIP|2||D02^王^大夫|||20260403083000|||20|min")
    found, _ = appointment(mapped, sch(f11=""), pid(), "RGS|1", *doctors)
    assert (found["start"], found.get("end")) == ("2026-04-03T09:00:00+08:00", None)
    found, _ = appointment(mapped, sch(f11=""), pid(), "RGS|1", *reversed(doctors))
    assert (found["start"], found.get("end")) == ("2026-04-03T08:30:00+08:00", "2026-04-03T08:50:00+08:00")
