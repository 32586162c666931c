"""What is known of a visit stays until a message says it anew: diagnoses, people, places, how the patient came."""

from __future__ import annotations

from typing import Any

import pytest

from engine.recording.merge import merge

Entry = dict[str, Any]


def after(current: Entry, incoming: Entry) -> Entry:
    kind = {"resourceType": "Encounter"}
    merged = merge({**kind, **current}, {**kind, **incoming})
    del merged["resourceType"]
    return merged


def diagnosis(condition: str, use: str) -> Entry:
    return {"condition": {"reference": f"Condition/{condition}"}, "use": {"coding": [{"system": "role", "code": use}]}}


def person(kind: str, who: str) -> Entry:
    return {"type": [{"coding": [{"system": "kind", "code": kind}]}], "individual": {"reference": who}}


def place(name: str, status: str) -> Entry:
    return {"location": {"reference": f"Location/{name}"}, "status": status}


ADMITTED, DISCHARGED = diagnosis("1", "AD"), diagnosis("2", "DD")
RANKED = {**ADMITTED, "rank": 1}


@pytest.mark.parametrize(
    ("known", "arrived", "then"),
    [
        ([ADMITTED], [DISCHARGED], [ADMITTED, DISCHARGED]),
        ([ADMITTED], [diagnosis("1", "DD")], [ADMITTED, diagnosis("1", "DD")]),
        ([ADMITTED, DISCHARGED], [RANKED], [RANKED, DISCHARGED]),
        ([ADMITTED], [ADMITTED], [ADMITTED]),
        ([ADMITTED, DISCHARGED], [{"condition": ADMITTED["condition"], "rank": 1}], [RANKED, DISCHARGED]),
        ([RANKED], [ADMITTED], [RANKED]),
        ([], [{"condition": ADMITTED["condition"]}, ADMITTED], [{"condition": ADMITTED["condition"]}, ADMITTED]),
        (
            [{"condition": {"reference": "Condition/1"}}],
            [ADMITTED],
            [{"condition": {"reference": "Condition/1"}}, ADMITTED],
        ),
    ],
)
def test_a_diagnosis_stays_until_it_is_said_anew(known: list[Entry], arrived: list[Entry], then: list[Entry]) -> None:
    assert after({"diagnosis": known}, {"diagnosis": arrived}) == {"diagnosis": then}


def test_a_message_without_diagnoses_erases_none_and_a_null_erases_all() -> None:
    assert after({"diagnosis": [ADMITTED]}, {"status": "finished"})["diagnosis"] == [ADMITTED]
    assert after({"diagnosis": [ADMITTED]}, {"diagnosis": None}) == {}


@pytest.mark.parametrize(
    ("known", "arrived", "then"),
    [
        ([person("ATND", "A"), person("REF", "R")], [person("ATND", "B")], [person("REF", "R"), person("ATND", "B")]),
        ([person("CON", "A"), person("CON", "B")], [person("CON", "C")], [person("CON", "C")]),
        (
            [{"individual": {"reference": "A"}}],
            [person("ATND", "B")],
            [{"individual": {"reference": "A"}}, person("ATND", "B")],
        ),
    ],
)
def test_who_takes_part_in_a_way_that_the_message_does_not_name_stays(
    known: list[Entry], arrived: list[Entry], then: list[Entry]
) -> None:
    assert after({"participant": known}, {"participant": arrived}) == {"participant": then}


@pytest.mark.parametrize(
    ("known", "arrived", "then"),
    [
        ([place("1", "active")], [place("1", "completed")], [place("1", "completed")]),
        (
            [place("2", "active"), place("1", "completed")],
            [place("2", "completed")],
            [place("2", "completed"), place("1", "completed")],
        ),
        ([place("2", "active"), place("1", "completed")], [place("1", "active")], [place("1", "active")]),
        ([place("1", "planned")], [place("2", "active")], [place("2", "active")]),
    ],
)
def test_a_place_that_was_left_stays_known_and_where_the_patient_is_now_is_said_anew(
    known: list[Entry], arrived: list[Entry], then: list[Entry]
) -> None:
    assert after({"location": known}, {"location": arrived}) == {"location": then}


def test_a_discharge_says_neither_how_the_patient_came_nor_when() -> None:
    known = {"hospitalization": {"admitSource": {"text": "门诊"}}, "period": {"start": "2026-04-01"}}
    arrived = {"hospitalization": {"dischargeDisposition": {"text": "回家"}}, "period": {"end": "2026-04-03"}}
    assert after(known, arrived) == {
        "hospitalization": {"admitSource": {"text": "门诊"}, "dischargeDisposition": {"text": "回家"}},
        "period": {"start": "2026-04-01", "end": "2026-04-03"},
    }


def test_a_discharge_that_is_cancelled_ends_nothing() -> None:
    ended = {"period": {"start": "2026-04-01", "end": "2026-04-03"}}
    assert after(ended, {"period": {"start": "2026-04-01"}}) == {"period": {"start": "2026-04-01"}}


def test_a_part_that_the_sender_deletes_goes_and_is_never_written_as_nothing() -> None:
    known = {"hospitalization": {"admitSource": {"text": "门诊"}, "reAdmission": {"text": "R"}}}
    assert after(known, {"hospitalization": {"admitSource": None}}) == {
        "hospitalization": {"reAdmission": {"text": "R"}}
    }
    assert merge(None, {"hospitalization": {"admitSource": None, "reAdmission": {"text": "R"}}}) == {
        "hospitalization": {"reAdmission": {"text": "R"}}
    }


def test_other_resources_say_their_lists_whole() -> None:
    stated = {"resourceType": "Appointment", "participant": [person("ATND", "B")]}
    assert merge({"resourceType": "Appointment", "participant": [person("REF", "R")]}, stated) == stated
