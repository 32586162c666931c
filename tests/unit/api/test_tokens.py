"""Tokens say what a resource can be found by, whatever the shape of what a sender wrote."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.store import tokens
from engine.store.search_parameters import PARAMETERS
from engine.store.spellings import LONGEST_BEGINNING, spellings
from engine.store.tokens import tokens_of

LARGEST_INDEX_ENTRY_BYTES = 2704

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
ELEMENTS = sorted({parameter.element for parameters in PARAMETERS.values() for parameter in parameters})


def test_a_coded_value_has_a_token_with_and_one_without_its_system() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "o",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}, {"code": "HGB"}], "text": "血红蛋白"},
    }
    assert tokens_of(observation) == ["code=718-7", "code=HGB", "code@http://loinc.org|718-7", "code@|HGB"]


def test_a_status_is_kept_apart_by_type() -> None:
    assert tokens_of({"resourceType": "Task", "id": "t", "status": "requested"}) == ["status=Task/requested"]


def test_a_system_cannot_pretend_to_hold_another_value() -> None:
    assert tokens.of_system_and_value("identifier", "a|b", "c") != tokens.of_system_and_value("identifier", "a", "b|c")


def test_a_study_is_found_by_the_bare_uid_too() -> None:
    study = {
        "resourceType": "ImagingStudy",
        "id": "s",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
    }
    assert set(tokens_of(study)) == {
        "identifier=urn:oid:1.2.3",
        "identifier@urn:dicom:uid|urn:oid:1.2.3",
        "identifier=1.2.3",
    }


def test_who_takes_part_is_looked_for_within_the_participants() -> None:
    actors = [
        {"actor": {"reference": "Patient/p"}, "status": "accepted"},
        {"actor": {"reference": "Location/l"}},
        {},
        7,
    ]
    appointment = {
        "resourceType": "Appointment",
        "id": "a",
        "participant": actors,
        "start": "2026-04-01T08:00:00+08:00",
    }
    assert set(tokens_of(appointment)) == {
        "actor=Patient/p",
        "actor=Location/l",
        "date=2026",
        "date=2026-04",
        "date=2026-04-01",
    }


def test_the_things_of_a_visit_have_one_token_whatever_the_parameter_is_called() -> None:
    visit = {"reference": "Encounter/e"}
    assert tokens_of({"resourceType": "ChargeItem", "id": "c", "context": visit}) == ["encounter=Encounter/e"]
    document = {"resourceType": "DocumentReference", "id": "d", "context": {"encounter": [visit]}}
    assert tokens_of(document) == ["encounter=Encounter/e"]


def test_patient_and_subject_are_one_token_and_a_task_is_for_its_patient() -> None:
    reference = {"reference": "Patient/p"}
    assert tokens_of({"resourceType": "Observation", "id": "o", "subject": reference}) == ["subject=Patient/p"]
    assert tokens_of({"resourceType": "Task", "id": "t", "for": reference}) == ["subject=Patient/p"]


def test_a_type_nobody_searches_is_still_found_by_its_identifiers() -> None:
    assert tokens_of({"resourceType": "Provenance", "id": "x", "identifier": [{"value": "1"}]}) == [
        "identifier=1",
        "identifier@|1",
    ]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("张伟", ["张", "张伟", "z", "zw", "zhang", "zhangw", "zhangwei"]),
        ("单于伟", ["shanyu", "chanyu", "danyuwei"]),
        ("吕布", ["lvbu", "lb"]),
        ("O'Neil Anna", ["oneil", "oneilanna"]),
        ("買買提·艾力", ["買買提", "maimaiti"]),
        ("", []),
    ],
)
def test_a_name_is_spelled_in_every_way_people_type_it(name: str, typed: list[str]) -> None:
    assert set(typed) <= set(spellings(name))


def test_a_long_name_has_bounded_beginnings_and_its_whole() -> None:
    name = "a" * 300
    assert len(spellings(name)) == LONGEST_BEGINNING + 1
    assert name in spellings(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(PARAMETERS)), st.dictionaries(st.sampled_from(ELEMENTS), JSON))
def test_no_shape_of_a_resource_breaks_the_record_or_its_index(resource_type: str, elements: dict[str, Any]) -> None:
    found = tokens_of({**elements, "resourceType": resource_type, "id": "x"})
    assert len(found) == len(set(found))
    for token in found:
        assert token.isprintable()
        assert len(token.encode()) < LARGEST_INDEX_ENTRY_BYTES


def test_surrogates_and_endless_values_become_something_an_index_can_hold() -> None:
    for value in ("\ud800", "9" * 100_000, "张" * 1000):
        for token in tokens_of(
            {"resourceType": "Patient", "id": "p", "identifier": [{"system": value, "value": value}]}
        ):
            assert len(token.encode("utf-8")) < LARGEST_INDEX_ENTRY_BYTES


@pytest.mark.parametrize("resource_type", sorted(PARAMETERS))
def test_no_two_elements_of_a_type_share_the_name_of_their_tokens(resource_type: str) -> None:
    elements = {(parameter.token, parameter.element) for parameter in PARAMETERS[resource_type]}
    assert len(elements) == len({token for token, _ in elements})


def test_a_code_said_twice_and_a_list_within_a_list_add_no_token() -> None:
    code = {"coding": [{"system": "urn:a", "code": "x"}]}
    twice = {"resourceType": "Observation", "id": "o", "category": [code, {**code}, code]}
    assert tokens_of(twice) == ["category=x", "category@urn:a|x"]
    assert tokens_of({"resourceType": "Observation", "id": "o", "category": [[code]]}) == []
