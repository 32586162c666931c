"""Which systems a study goes to, and which archives are asked when an image is ordered."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest

from engine import routing
from engine.clock import CHINA
from engine.config import (
    AeEntry,
    Community,
    DicomChannel,
    DicomEndpoint,
    Facility,
    Http,
    Level,
    Recognition,
    Route,
    StudyTag,
)
from engine.config.windows import DayWindow, is_open
from engine.recording.owe_imaging import priority_of
from engine.routing import StudyFacts, Target

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=CHINA)
STUDY = StudyFacts(
    facility="east",
    ae_title="CT_EAST",
    modalities=frozenset({"CT", "SR"}),
    body_parts=frozenset({"CHEST"}),
    tags={StudyTag.STATION: frozenset({"CT1"}), StudyTag.DESCRIPTION: frozenset({"Thorax"})},
)


def community(**when: Any) -> Community:
    endpoints = [
        DicomEndpoint(type="dicom", name=name, facility="east", host="h", port=104, ae_title=ae_title)
        for name, ae_title in (("pacs", "PACS"), ("scanner", "CT_EAST"))
    ]
    route = {"id": "r", "when": {"event": "study", **when}, "to": {"endpoints": ["scanner", "pacs"]}}
    priors = {"id": "p", "when": {"event": "order", "modalities": ["CT"]}, "to": {"priors_from": ["pacs"]}}
    return Community(
        name="test",
        http=Http(),
        facilities={"east": Facility(code="east", name="east", level=Level.TOWNSHIP)},
        channels={},
        endpoints={endpoint.name: endpoint for endpoint in endpoints},
        routes=(Route.model_validate(route), Route.model_validate(priors)),
        centres={},
        recognition=Recognition(),
        users={},
        folder=Path(),
    )


@pytest.mark.parametrize(
    ("when", "goes"),
    [
        ({}, True),
        ({"from_facilities": ["west"]}, False),
        ({"modalities": ["MR", "CT"]}, True),
        ({"modalities": ["MR"]}, False),
        ({"body_parts": ["chest", "ABDOMEN"]}, True),
        ({"body_parts": ["ABDOMEN"]}, False),
        ({"between": ["08:00-18:00"]}, True),
        ({"between": ["22:00-06:00"]}, False),
        ({"between": ["22:00-06:00", "11:30-12:30"]}, True),
        ({"tags": {"StationName": ["ct1", "CT2"]}}, True),
        ({"tags": {"StationName": ["CT2"]}}, False),
        ({"tags": {"StationName": ["CT1"], "PatientSex": ["F"]}}, False),
        ({"tags": {"StationName": ["CT1"], "StudyDescription": ["thorax"]}}, True),
    ],
)
def test_a_study_goes_where_all_that_a_route_names_is_true_of_it(when: dict[str, Any], goes: bool) -> None:
    targets = [target.endpoint for target in routing.study_stored(community(**when), STUDY, NOON)]
    # Never back to the one whose AE title sent it.
    assert targets == (["pacs"] if goes else [])


def test_archives_are_asked_for_what_a_route_names() -> None:
    asked = routing.priors_wanted(community(), facility="east", modality="CT")
    assert [(target.endpoint, target.route) for target in asked] == [("pacs", "p")]
    assert routing.priors_wanted(community(), facility="east", modality="US") == []
    assert routing.order_placed(community(), facility="east", modality="CT") is None


@pytest.mark.parametrize(
    ("moment", "open_"),
    [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("05:59", True), ("06:00", False)],
)
def test_a_window_across_midnight_is_open_from_its_first_minute_until_before_its_last(moment: str, open_: bool) -> None:
    at = time.fromisoformat(moment)
    window = DayWindow(time(22), time(6))
    assert window.holds(at) is open_
    assert is_open([window], datetime.combine(NOON.date(), at, CHINA)) is open_
    assert is_open([], NOON)


def test_urgent_before_routine_and_ecg_before_radiographs_before_ultrasound_before_ct_before_the_rest() -> None:
    urgent: dict[str, Any] = {"priority": "stat"}
    ranked = [
        priority_of(urgent, ["ECG"]),
        priority_of(urgent, ["MR"]),
        priority_of(None, ["ECG"]),
        priority_of({"priority": "routine"}, ["DX"]),
        priority_of(None, ["US"]),
        priority_of(None, ["CT", "SR"]),
        priority_of(None, ["MR"]),
    ]
    assert ranked == sorted(set(ranked))
    assert priority_of(None, []) == priority_of(None, ["MR"])


@pytest.mark.parametrize("tag", ["PatientName", "Nonsense"])
def test_a_route_may_look_only_at_what_a_study_is_known_by(tag: str) -> None:
    with pytest.raises(ValueError, match="tags"):
        community(tags={tag: ["x"]})


@pytest.mark.parametrize(
    "window", ["22-6", "25:00-06:00", "22:00", "06:00-06:00", "", "22:00-06:60", "\u0662\u0662:00-06:00"]
)
def test_what_is_no_window_is_refused(window: str) -> None:
    with pytest.raises(ValueError, match="between"):
        community(between=[window])


def test_a_study_goes_to_the_namesake_of_its_sender_at_another_facility() -> None:
    """Two archives have the title that their maker gave them."""
    two = [AeEntry(ae_title="PACS", facility=facility, address=facility) for facility in ("east", "west")]
    channel = DicomChannel(type="dicom", name="imaging", ae_title="HUTONG", ae_entries=tuple(two))
    both = community().model_copy(update={"channels": {"imaging": channel}})
    names = {
        facility: [
            one.endpoint for one in routing.study_stored(both, replace(STUDY, facility=facility, ae_title="PACS"), NOON)
        ]
        for facility in ("east", "west")
    }
    assert names == {"east": ["scanner"], "west": ["scanner", "pacs"]}
    alone = both.model_copy(update={"channels": {}})
    assert routing.study_stored(alone, replace(STUDY, facility="west", ae_title="PACS"), NOON) == [
        Target("scanner", "r")
    ]
