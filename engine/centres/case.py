"""What may a reader or a reviewer do with a request and its report?

A case is what a person at the centre works on: the request, its report and the report's 检查所见. Each action takes
a case and returns another, or raises: AccessError when this person may not do it at this centre, RequestStateError
when the request does not allow it now. Who wrote a report neither reviews nor signs it, unless the centre's
two-person rule is off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.centres import report as reports
from engine.centres import request as requests
from engine.centres.people import Centre, Person, must_read_for, must_review_for
from engine.centres.request import Transition, last_step, reader_of
from engine.centres.states import Action
from engine.errors import HutongError, RequestStateError

Resource = dict[str, Any]

_OF_ITS_READER = frozenset({Action.RELEASE, Action.WRITE, Action.SUBMIT})
_OF_A_REVIEWER = frozenset({Action.APPROVE, Action.SEND_BACK, Action.SIGN})


@dataclass(frozen=True, slots=True)
class Case:
    """A request with its report and 检查所见; both are None until it was first claimed."""

    task: Resource
    report: Resource | None = None
    observation: Resource | None = None

    def resources(self) -> list[Resource]:
        return [self.task, *(r for r in (self.report, self.observation) if r is not None)]


def claim(case: Case, blank_report: Resource, person: Person, centre: Centre, at: datetime) -> Case:
    """Takes the request; a report begun before a release is taken over, otherwise `blank_report` begins it.

    Raises RequestStateError `already-claimed` unless it waits: of two who claim at once, one gets this.
    """
    must_be_allowed(case.task, Action.CLAIM, person, centre)
    task = requests.advance(case.task, Action.CLAIM, at, person)
    if case.report is not None:
        return replace(case, task=task)
    report, observation = reports.write(blank_report, "", "")
    return Case(requests.with_report(task, report), {**report, "status": "registered"}, observation)


def release(case: Case, person: Person, centre: Centre, at: datetime) -> Case:
    """Puts the request back for others; what was written stays."""
    must_be_allowed(case.task, Action.RELEASE, person, centre)
    return replace(case, task=requests.advance(case.task, Action.RELEASE, at, person))


def write(case: Case, observed: str, conclusion: str, person: Person, centre: Centre) -> Case:
    """Keeps these words as the draft. The request itself does not change."""
    must_be_allowed(case.task, Action.WRITE, person, centre)
    report, _ = _written(case)
    return Case(case.task, *reports.write(report, observed.rstrip(), conclusion.rstrip()))


def submit(case: Case, person: Person, centre: Centre, at: datetime) -> Case:
    """Hands the draft over for review. Raises RequestStateError `report-incomplete` when a part is empty."""
    must_be_allowed(case.task, Action.SUBMIT, person, centre)
    report, observation = _written(case)
    if not reports.is_complete(report, observation):
        raise RequestStateError("both 检查所见 and 诊断意见 must be written", code="report-incomplete")
    task = requests.advance(case.task, Action.SUBMIT, at, person)
    report, observation = reports.at_stage(reports.interpreted_by(report, [person]), observation, "preliminary")
    return Case(task, report, observation)


def approve(case: Case, person: Person, centre: Centre, at: datetime, comment: str = "") -> Case:
    """Agrees with the report as it stands."""
    must_be_allowed(case.task, Action.APPROVE, person, centre)
    report, observation = _written(case)
    task = requests.advance(case.task, Action.APPROVE, at, person, comment)
    return Case(task, reports.interpreted_by(report, _answerable(task)), observation)


def send_back(case: Case, person: Person, centre: Centre, at: datetime, comment: str) -> Case:
    """Returns the report to its writer. Raises RequestStateError `comment-missing` unless it says what to change."""
    must_be_allowed(case.task, Action.SEND_BACK, person, centre)
    if not comment.strip():
        raise RequestStateError("a report sent back needs a comment", code="comment-missing")
    report, observation = _written(case)
    task = requests.advance(case.task, Action.SEND_BACK, at, person, comment)
    return Case(task, *reports.at_stage(report, observation, "partial"))


def sign(case: Case, person: Person, centre: Centre, at: datetime) -> Case:
    """Makes the report final. What is owed to the requester is the caller's, in the same transaction."""
    must_be_allowed(case.task, Action.SIGN, person, centre)
    report, observation = _written(case)
    task = requests.advance(case.task, Action.SIGN, at, person)
    report, observation = reports.at_stage(reports.issued(report, at), observation, "final")
    return Case(task, reports.interpreted_by(report, [*_answerable(task), person]), observation)


def must_be_allowed(task: Resource, action: Action, person: Person, centre: Centre) -> None:
    """Raises AccessError or RequestStateError when this person may not do this to this request now."""
    if action in _OF_A_REVIEWER:
        must_review_for(centre, person)
    else:
        must_read_for(centre, person)
    requests.must_allow(task, action)
    if action in _OF_ITS_READER:
        _must_hold(task, person)
    if action in _OF_A_REVIEWER:
        _must_not_be_writer(task, person, centre)


def refusals(task: Resource, person: Person, centre: Centre) -> dict[Action, str]:
    """Why this person may not do what: the error code of each action that is refused. What is missing is allowed."""
    refused: dict[Action, str] = {}
    for action in (Action.CLAIM, *sorted(_OF_ITS_READER | _OF_A_REVIEWER)):
        try:
            must_be_allowed(task, action, person, centre)
        except HutongError as error:
            refused[action] = error.code
    return refused


def writer_of(task: Resource) -> Transition | None:
    """Who submitted the report that stands."""
    return last_step(task, Action.SUBMIT)


def _must_hold(task: Resource, person: Person) -> None:
    holder = reader_of(task)
    if holder is None or holder.person != person.name:
        raise RequestStateError("the request is claimed by another reader", code="not-your-request")


def _must_not_be_writer(task: Resource, person: Person, centre: Centre) -> None:
    writer = writer_of(task)
    if centre.two_person and writer is not None and writer.person == person.name:
        raise RequestStateError("the writer of a report may not review or sign it", code="same-person")


def _written(case: Case) -> tuple[Resource, Resource]:
    if case.report is None or case.observation is None:
        raise RequestStateError("the request has no report yet", code="wrong-state")
    return case.report, case.observation


def _answerable(task: Resource) -> list[Person]:
    steps = [last_step(task, Action.SUBMIT), last_step(task, Action.APPROVE)]
    return [_person(step) for step in steps if step is not None]


def _person(step: Transition) -> Person:
    return Person(step.person, step.display, step.facility)
