"""What readers and reviewers may do with a request, as tables of state, person and answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from engine.centres import RequestState, open_request, order_cancelled, order_changed, returned, state_of, study_arrived
from engine.centres import case as cases
from engine.centres import report as reports
from engine.centres.case import Case
from engine.centres.people import Person
from engine.centres.request import facility_of, reader_of, study_references, transitions
from engine.errors import AccessError, HutongError, RequestStateError
from engine.identifiers import DICOM_UID, facility_system, organization_id

AT = datetime(2026, 3, 10, 2, 0, tzinfo=UTC)
WANG = Person("wang", "王读片", "qingxi-county")
LI = Person("li", "李审核", "qingxi-county")
ZHAO = Person("zhao", "赵审核", "qingxi-county")
STRANGER = Person("he", "何外院", "qingxi-tcm")


@dataclass(frozen=True)
class SomeCentre:
    name: str = "county-imaging"
    display: str = "青溪县影像诊断中心"
    facility: str = "qingxi-county"
    readers: tuple[str, ...] = ("wang",)
    reviewers: tuple[str, ...] = ("li", "zhao")
    two_person: bool = True


CENTRE = SomeCentre()
ORDER: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "order-1",
    "identifier": [{"system": facility_system("baishi", "order"), "value": "BS1"}],
    "status": "active",
    "intent": "order",
    "priority": "stat",
    "code": {"text": "胸部正位"},
    "subject": {"reference": "Patient/p-1"},
}
STUDY: dict[str, Any] = {
    "resourceType": "ImagingStudy",
    "id": "study-1",
    "identifier": [{"system": DICOM_UID, "value": "urn:oid:1.2.3"}],
    "started": "2026-03-10T09:00:00+08:00",
}


def opened(study: dict[str, Any] | None = STUDY) -> Case:
    return Case(open_request(ORDER, CENTRE, study, AT))


def claimed(by: Person = WANG) -> Case:
    case = opened()
    blank = reports.begin(case.task, ORDER, STUDY, "DX", CENTRE)
    return cases.claim(case, blank, by, CENTRE, AT)


def drafted() -> Case:
    return cases.write(claimed(), "双肺纹理清晰。", "心肺未见异常。", WANG, CENTRE)


def submitted() -> Case:
    return cases.submit(drafted(), WANG, CENTRE, AT)


def approved() -> Case:
    return cases.approve(submitted(), LI, CENTRE, AT)


def signed() -> Case:
    return cases.sign(approved(), LI, CENTRE, AT)


def closed() -> Case:
    return Case(returned(signed().task, AT), signed().report, signed().observation)


def cancelled() -> Case:
    return Case(order_cancelled(opened().task, AT))


STATES: dict[RequestState, Callable[[], Case]] = {
    RequestState.AWAITING_STUDY: lambda: opened(study=None),
    RequestState.WAITING: opened,
    RequestState.CLAIMED: drafted,
    RequestState.PRELIMINARY: submitted,
    RequestState.REVIEWED: approved,
    RequestState.SIGNED: signed,
    RequestState.RETURNED: closed,
    RequestState.CANCELLED: cancelled,
}

ACTIONS: dict[str, Callable[[Case], object]] = {
    "claim": lambda case: cases.claim(case, reports.begin(case.task, ORDER, STUDY, "DX", CENTRE), WANG, CENTRE, AT),
    "release": lambda case: cases.release(case, WANG, CENTRE, AT),
    "write": lambda case: cases.write(case, "a", "b", WANG, CENTRE),
    "submit": lambda case: cases.submit(case, WANG, CENTRE, AT),
    "approve": lambda case: cases.approve(case, LI, CENTRE, AT),
    "send-back": lambda case: cases.send_back(case, LI, CENTRE, AT, "请补充心影"),
    "sign": lambda case: cases.sign(case, LI, CENTRE, AT),
    "return": lambda case: returned(case.task, AT),
    "cancel": lambda case: order_cancelled(case.task, AT),
    "study-arrived": lambda case: study_arrived(case.task, {**STUDY, "id": "study-2"}, AT),
}

ALLOWED: dict[str, set[RequestState]] = {
    "claim": {RequestState.WAITING},
    "release": {RequestState.CLAIMED},
    "write": {RequestState.CLAIMED},
    "submit": {RequestState.CLAIMED},
    "approve": {RequestState.PRELIMINARY},
    "send-back": {RequestState.PRELIMINARY, RequestState.REVIEWED},
    "sign": {RequestState.REVIEWED},
    "return": {RequestState.SIGNED, RequestState.RETURNED},
    "cancel": {
        RequestState.AWAITING_STUDY,
        RequestState.WAITING,
        RequestState.CLAIMED,
        RequestState.PRELIMINARY,
        RequestState.REVIEWED,
        RequestState.CANCELLED,
    },
    "study-arrived": set(RequestState) - {RequestState.CANCELLED},
}


@pytest.mark.parametrize("state", list(RequestState))
@pytest.mark.parametrize("action", list(ACTIONS))
def test_each_action_is_allowed_in_its_states_and_refused_in_every_other(action: str, state: RequestState) -> None:
    case = STATES[state]()
    if state in ALLOWED[action]:
        ACTIONS[action](case)
    else:
        with pytest.raises(RequestStateError):
            ACTIONS[action](case)


@pytest.mark.parametrize("state", list(RequestState))
def test_each_state_is_reached_by_its_own_steps(state: RequestState) -> None:
    assert state_of(STATES[state]().task) is state


def test_the_same_order_at_the_same_centre_opens_the_same_request() -> None:
    assert opened().task["id"] == open_request(ORDER, CENTRE, None, AT)["id"]
    assert opened().task["id"] != open_request(ORDER, SomeCentre(name="county-ecg"), None, AT)["id"]


def test_a_request_knows_the_facility_that_asks_and_keeps_its_priority() -> None:
    task = opened().task
    assert facility_of(task) == "baishi"
    assert task["requester"] == {"reference": f"Organization/{organization_id('baishi')}"}
    assert task["priority"] == "stat"


def test_an_order_without_a_local_number_opens_no_request() -> None:
    with pytest.raises(RequestStateError) as refused:
        open_request({**ORDER, "identifier": []}, CENTRE, None, AT)
    assert refused.value.code == "no-facility"


def test_the_study_that_arrives_makes_the_request_claimable_and_arrives_only_once() -> None:
    waiting = study_arrived(opened(study=None).task, STUDY, AT)
    assert state_of(waiting) is RequestState.WAITING
    assert study_references(waiting) == ["ImagingStudy/study-1"]
    assert study_arrived(waiting, STUDY, AT) is waiting


def test_a_second_study_is_added_without_disturbing_the_reader() -> None:
    after = study_arrived(claimed().task, {**STUDY, "id": "study-2"}, AT)
    assert study_references(after) == ["ImagingStudy/study-1", "ImagingStudy/study-2"]
    assert state_of(after) is RequestState.CLAIMED


def test_a_changed_order_shows_in_the_request_and_an_unchanged_one_leaves_it_alone() -> None:
    task = opened().task
    assert order_changed(task, ORDER, AT) is task
    assert order_changed(task, {**ORDER, "priority": "routine"}, AT)["priority"] == "routine"


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (lambda: ACTIONS["claim"](drafted()), "already-claimed"),
        (lambda: ACTIONS["claim"](opened(study=None)), "no-study-yet"),
        (lambda: ACTIONS["claim"](cancelled()), "request-cancelled"),
        (lambda: ACTIONS["cancel"](signed()), "already-signed"),
        (lambda: cases.write(claimed(), "a", "b", LI, CENTRE), "not-your-request"),
        (lambda: cases.release(claimed(), LI, CENTRE, AT), "not-your-request"),
        (lambda: cases.submit(drafted(), LI, CENTRE, AT), "not-your-request"),
        (lambda: cases.submit(claimed(), WANG, CENTRE, AT), "report-incomplete"),
        (
            lambda: cases.submit(cases.write(claimed(), "有", " \n", WANG, CENTRE), WANG, CENTRE, AT),
            "report-incomplete",
        ),
        (lambda: cases.submit(cases.write(claimed(), "", "有", WANG, CENTRE), WANG, CENTRE, AT), "report-incomplete"),
        (lambda: cases.send_back(submitted(), LI, CENTRE, AT, "  "), "comment-missing"),
        (lambda: cases.claim(opened(), {}, STRANGER, CENTRE, AT), "not-a-reader"),
        (lambda: cases.approve(submitted(), WANG, CENTRE, AT), "not-a-reviewer"),
        (lambda: cases.sign(approved(), WANG, CENTRE, AT), "not-a-reviewer"),
        (lambda: cases.sign(submitted(), LI, CENTRE, AT), "wrong-state"),
    ],
)
def test_a_refusal_says_why(attempt: Callable[[], object], code: str) -> None:
    with pytest.raises(HutongError) as refused:
        attempt()
    assert refused.value.code == code


def written_by_a_reviewer() -> Case:
    case = cases.write(claimed(by=LI), "双肺清。", "未见异常。", LI, CENTRE)
    return cases.submit(case, LI, CENTRE, AT)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: cases.approve(written_by_a_reviewer(), LI, CENTRE, AT),
        lambda: cases.send_back(written_by_a_reviewer(), LI, CENTRE, AT, "改"),
        lambda: cases.sign(cases.approve(written_by_a_reviewer(), ZHAO, CENTRE, AT), LI, CENTRE, AT),
    ],
)
def test_who_wrote_a_report_neither_reviews_nor_signs_it(attempt: Callable[[], object]) -> None:
    with pytest.raises(RequestStateError) as refused:
        attempt()
    assert refused.value.code == "same-person"


def test_a_centre_may_lift_the_two_person_rule() -> None:
    night = SomeCentre(two_person=False, reviewers=())
    case = cases.sign(cases.approve(submitted(), WANG, night, AT), WANG, night, AT)
    assert state_of(case.task) is RequestState.SIGNED


def test_the_report_grows_from_registered_to_final() -> None:
    def status(case: Case) -> tuple[str, str]:
        assert case.report is not None
        assert case.observation is not None
        return case.report["status"], case.observation["status"]

    assert status(claimed()) == ("registered", "registered")
    assert status(drafted()) == ("partial", "registered")
    assert status(submitted()) == ("preliminary", "preliminary")
    assert status(cases.send_back(submitted(), LI, CENTRE, AT, "请补充")) == ("partial", "registered")
    assert status(approved()) == ("preliminary", "preliminary")
    assert status(signed()) == ("final", "final")


def test_the_signed_report_says_what_was_written_and_who_answers_for_it() -> None:
    report, observation = signed().report, signed().observation
    assert report is not None
    assert observation is not None
    assert report["conclusion"] == "心肺未见异常。"
    assert observation["valueString"] == "双肺纹理清晰。"
    assert report["result"] == [{"reference": f"Observation/{observation['id']}", "display": "检查所见"}]
    assert report["basedOn"] == [{"reference": "ServiceRequest/order-1"}]
    assert report["imagingStudy"] == [{"reference": "ImagingStudy/study-1"}]
    assert report["effectiveDateTime"] == "2026-03-10T09:00:00+08:00"
    assert report["issued"] == "2026-03-10T02:00:00.000Z"
    assert [who["display"] for who in report["resultsInterpreter"]] == ["王读片", "李审核"]


def test_a_signer_other_than_the_reviewer_stands_last() -> None:
    report = cases.sign(approved(), ZHAO, CENTRE, AT).report
    assert report is not None
    assert [who["display"] for who in report["resultsInterpreter"]] == ["王读片", "李审核", "赵审核"]


def test_a_released_draft_is_taken_over_by_the_next_reader() -> None:
    free = cases.release(drafted(), WANG, CENTRE, AT)
    assert reader_of(free.task) is None
    again = cases.claim(free, {"resourceType": "DiagnosticReport", "id": "never used"}, LI, CENTRE, AT)
    assert again.report == drafted().report
    reader = reader_of(again.task)
    assert reader is not None
    assert reader.person == "li"


def test_words_taken_out_of_a_draft_are_gone() -> None:
    emptied = cases.write(drafted(), "", "", WANG, CENTRE)
    assert emptied.report is not None
    assert emptied.observation is not None
    assert "conclusion" not in emptied.report
    assert "valueString" not in emptied.observation


def test_every_step_is_kept_with_its_moment_person_and_organisation() -> None:
    steps = transitions(closed().task)
    assert [(step.action, step.person, step.facility) for step in steps] == [
        ("open", "", ""),
        ("claim", "wang", "qingxi-county"),
        ("submit", "wang", "qingxi-county"),
        ("approve", "li", "qingxi-county"),
        ("sign", "li", "qingxi-county"),
        ("return", "", ""),
    ]
    assert all(step.at == AT for step in steps)


def test_no_action_changes_what_it_was_given() -> None:
    case = submitted()
    before = repr(case)
    cases.approve(case, LI, CENTRE, AT)
    assert repr(case) == before


def test_the_stranger_of_another_centre_is_told_so() -> None:
    with pytest.raises(AccessError):
        cases.release(claimed(), STRANGER, CENTRE, AT)


@pytest.mark.parametrize(
    ("case", "person", "allowed"),
    [
        (opened, WANG, {"claim"}),
        (opened, LI, {"claim"}),
        (opened, STRANGER, set()),
        (drafted, WANG, {"release", "write", "submit"}),
        (drafted, LI, set()),
        (submitted, WANG, set()),
        (submitted, LI, {"approve", "send-back"}),
        (written_by_a_reviewer, LI, set()),
        (written_by_a_reviewer, ZHAO, {"approve", "send-back"}),
        (approved, LI, {"sign", "send-back"}),
        (signed, LI, set()),
    ],
)
def test_a_person_is_offered_what_is_allowed(case: Callable[[], Case], person: Person, allowed: set[str]) -> None:
    offered = {"claim", "release", "write", "submit", "approve", "send-back", "sign"}
    assert offered - set(cases.refusals(case().task, person, CENTRE)) == allowed


@pytest.mark.parametrize("state", list(RequestState))
def test_what_is_recorded_in_every_state_is_valid_fhir(state: RequestState) -> None:
    for resource in (*STATES[state]().resources(), LI.practitioner):
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
