"""A visit that has ended stays so until a message says that it goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from engine.envelope import Envelope, Kind
from engine.mapping.visit_states import Assumed
from engine.recording.ended_visits import as_it_stood
from engine.recording.late import History, Late
from engine.recording.state_resources import state_resources
from engine.store.versions import Version
from engine.understanding import Understood

Visit = dict[str, Any]

START, END = "2026-04-01", "2026-04-03"
KIND = {"resourceType": "Encounter"}
ENDED: Visit = {**KIND, "status": "finished", "period": {"start": START, "end": END}}
OPEN: Visit = {**KIND, "status": "in-progress", "period": {"start": START}}


def bed(status: str, **more: Any) -> Visit:
    return {"location": {"reference": "Location/1"}, "status": status, **more}


def test_what_only_assumes_a_state_opens_no_visit_that_has_ended() -> None:
    update = {**KIND, "status": Assumed.IN_PROGRESS, "period": {"start": START}, "location": [bed("active")]}
    assert as_it_stood(ENDED, update) == {**ENDED, "location": [bed("completed", period={"end": END})]}


def test_a_finished_visit_of_which_nobody_said_when_it_ended_has_no_end_afterwards() -> None:
    update = {**OPEN, "status": Assumed.IN_PROGRESS, "location": [bed("active"), bed("reserved")]}
    meant = as_it_stood({**KIND, "status": "finished"}, update)
    assert meant == {**OPEN, "status": "finished", "location": [bed("completed"), bed("reserved")]}


@pytest.mark.parametrize("known", [None, OPEN, {**ENDED, "status": "cancelled"}])
def test_where_nothing_has_ended_what_is_assumed_is_said(known: Visit | None) -> None:
    meant = as_it_stood(known, {**OPEN, "status": Assumed.IN_PROGRESS})
    assert meant == OPEN
    assert type(meant["status"]) is str


def test_a_discharge_said_again_without_its_time_keeps_the_time() -> None:
    assert as_it_stood(ENDED, {**ENDED, "period": {"start": START}}) == ENDED
    other = {**ENDED, "period": {"end": "2026-04-04"}}
    assert as_it_stood(ENDED, other) == other


@pytest.mark.parametrize("status", ["in-progress", "planned", "arrived"])
def test_what_states_that_a_visit_goes_on_opens_it(status: str) -> None:
    assert as_it_stood(ENDED, {**OPEN, "status": status}) == {**OPEN, "status": status}
    assert as_it_stood(ENDED, {**KIND, "status": status}) == {**OPEN, "status": status}
    assert as_it_stood({**ENDED, "period": {"end": END}}, {**KIND, "status": status})["period"] is None


@pytest.mark.parametrize("visit", [{**KIND, "status": "cancelled"}, {**KIND, "priority": {"text": "急"}}])
def test_what_calls_a_visit_off_or_says_no_state_is_left_as_it_is(visit: Visit) -> None:
    assert as_it_stood(ENDED, visit) is visit


def replayed(versions: list[Visit], said: Visit, turn: int) -> Visit:
    """What the visit is after the message that wrote the version of this number is processed again."""
    at, envelopes = datetime(2026, 4, 5, tzinfo=UTC), [UUID(int=n) for n in range(len(versions))]
    known = [Version({**each, "id": "v"}, at, one, one) for each, one in zip(versions, envelopes, strict=True)]
    record = {"Encounter/v": known[-1].body}

    def put(resource: Visit) -> None:
        record["Encounter/v"] = resource

    one = envelopes[turn]
    envelope = Envelope(one, Kind.HL7V2, "his", "baishi", "", at, "", "ADT^A08", b"", b"", ())
    walk = Understood(envelope, resources=[{**said, "id": "v"}])
    state_resources(walk, Late(one, replayed=True), History({"Encounter/v": known}), record.get, put)
    left = {**record["Encounter/v"]}
    del left["id"]
    return left


def test_a_visit_that_an_update_had_opened_ends_again_when_the_update_is_processed_again() -> None:
    update = {**OPEN, "status": Assumed.IN_PROGRESS}
    assert replayed([OPEN, ENDED, OPEN], update, 2) == ENDED
    assert replayed([OPEN, {**OPEN, "priority": {"text": "急"}}, ENDED], update, 1)["status"] == "finished"


def test_a_cancelled_discharge_without_a_time_says_the_same_when_it_is_processed_again() -> None:
    assert replayed([OPEN, ENDED, OPEN], {**KIND, "status": "in-progress"}, 2) == OPEN
