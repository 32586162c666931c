"""How does a request at a centre (a FHIR Task) open, move and close?

Every function takes a Task and returns another; none changes what it was given. Each step is kept in the Task with its
moment, person and organisation, so that the current version alone tells the whole course.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.centres.instants import read, written
from engine.centres.numbers import facility_that_numbered
from engine.centres.people import Centre, Person
from engine.centres.states import BEFORE_SIGNATURE, DISPLAY, STEPS, TASK_STATUS, Action, RequestState
from engine.errors import RequestStateError
from engine.identifiers import DICOM_UID, REQUEST_STATE, organization_id, resource_id

Resource = dict[str, Any]

TRANSITION = "urn:hutong:request-transition"
"""Extension of a Task: one step, with its action, moment, person, organisation and comment."""
CENTRE = "urn:hutong:centre"
"""Extension of a Task: the configured name of the centre."""
FACILITY = "urn:hutong:facility"
"""Extension of a Task: the configured code of the facility that asks."""

_STUDY_INPUT = {"text": "ImagingStudy"}
_REPORT_OUTPUT = {"text": "DiagnosticReport"}


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a request. `person` is empty where a system took it."""

    action: Action
    state: RequestState
    """The state it led to."""
    at: datetime
    person: str = ""
    display: str = ""
    facility: str = ""
    comment: str = ""


def open_request(order: Resource, centre: Centre, study: Resource | None, at: datetime) -> Resource:
    """The request that an order and, once it is there, its study open at a centre.

    Deterministic: the same order at the same centre always gives the same id.
    Raises RequestStateError `no-facility` when no number of the order says which facility asks.
    """
    facility = facility_that_numbered(order)
    if not facility:
        raise RequestStateError("no number of the order says which facility asks", code="no-facility")
    reference = f"ServiceRequest/{order['id']}"
    task: Resource = {
        "resourceType": "Task",
        "id": resource_id("Task", centre.name, order["id"]),
        "extension": [{"url": CENTRE, "valueCode": centre.name}, {"url": FACILITY, "valueCode": facility}],
        "basedOn": [{"reference": reference}],
        "intent": "order",
        "priority": order.get("priority", "routine"),
        "code": {
            "text": "远程诊断",
            "coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}],
        },
        "focus": {"reference": reference},
        "for": order["subject"],
        "authoredOn": written(at),
        "requester": {"reference": f"Organization/{organization_id(facility)}"},
        "owner": {"reference": f"Organization/{organization_id(centre.facility)}", "display": centre.display},
    }
    if study is None:
        return _moved(task, Action.OPEN, RequestState.AWAITING_STUDY, at)
    return _moved({**task, "input": [_study_input(study)]}, Action.OPEN, RequestState.WAITING, at)


def study_arrived(task: Resource, study: Resource, at: datetime) -> Resource:
    """The request with this study to read; unchanged when it had it already.

    Raises RequestStateError `request-cancelled`: images came for an order that was withdrawn.
    """
    if state_of(task) is RequestState.CANCELLED:
        raise RequestStateError("a study arrived for a cancelled request", code="request-cancelled")
    reference = f"ImagingStudy/{study['id']}"
    if reference in study_references(task):
        return task
    state = state_of(task)
    after = RequestState.WAITING if state is RequestState.AWAITING_STUDY else state
    return _moved({**task, "input": [*task.get("input", []), _study_input(study)]}, Action.STUDY_ARRIVED, after, at)


def study_left(task: Resource, reference: str, at: datetime) -> Resource:
    """The request without this study, found to be of another order; unchanged when it did not have it.

    A request with nothing left to read awaits its study again, also where somebody has begun. Raises RequestStateError
    `already-read` when a report was submitted on it.
    """
    left = [entry for entry in task.get("input", []) if entry["valueReference"]["reference"] != reference]
    state = state_of(task)
    if len(left) == len(task.get("input", [])) or state is RequestState.CANCELLED:
        return task
    if state not in (RequestState.AWAITING_STUDY, RequestState.WAITING, RequestState.CLAIMED):
        raise RequestStateError("a report was written on a study that is of another order", code="already-read")
    without = {name: value for name, value in task.items() if name != "input"} | ({"input": left} if left else {})
    return _moved(without, Action.STUDY_LEFT, state if left else RequestState.AWAITING_STUDY, at)


def study_grew(task: Resource, study: Resource, number: int, at: datetime) -> Resource:
    """The request after so many instances of a study that it has came late; unchanged when it has not the study."""
    if f"ImagingStudy/{study['id']}" not in study_references(task):
        return task
    return _moved(task, Action.STUDY_GREW, state_of(task), at, comment=f"+{number}")


def order_changed(task: Resource, order: Resource, at: datetime) -> Resource:
    """The request after its order was changed; unchanged when nothing of it shows in the request."""
    changed = {**task, "priority": order.get("priority", "routine"), "for": order["subject"]}
    if changed == task:
        return task
    return _moved(changed, Action.CHANGE, state_of(task), at)


def order_cancelled(task: Resource, at: datetime) -> Resource:
    """The request after its order was withdrawn; unchanged when it was cancelled before.

    Raises RequestStateError `already-signed`: a signed report is not taken back by cancelling its order.
    """
    state = state_of(task)
    if state is RequestState.CANCELLED:
        return task
    if state not in BEFORE_SIGNATURE:
        raise RequestStateError("the report of a cancelled order is signed already", code="already-signed")
    return _moved(task, Action.CANCEL, RequestState.CANCELLED, at)


def returned(task: Resource, at: datetime) -> Resource:
    """The request after the requester's system acknowledged the report; unchanged when it had before."""
    if state_of(task) is RequestState.RETURNED:
        return task
    return advance(task, Action.RETURN, at)


def advance(task: Resource, action: Action, at: datetime, person: Person | None = None, comment: str = "") -> Resource:
    """The request after this action. Raises RequestStateError where `STEPS` does not allow it."""
    state = state_of(task)
    after = STEPS[action].get(state)
    if after is None:
        raise RequestStateError(f"a {state} request does not allow {action}", code=_refusal(action, state))
    return _moved(task, action, after, at, person, comment)


def must_allow(task: Resource, action: Action) -> None:
    """Raises RequestStateError as `advance` would."""
    state = state_of(task)
    if state not in STEPS[action]:
        raise RequestStateError(f"a {state} request does not allow {action}", code=_refusal(action, state))


def with_report(task: Resource, report: Resource) -> Resource:
    """The request that names its report."""
    reference = {"reference": f"DiagnosticReport/{report['id']}"}
    return {**task, "output": [{"type": _REPORT_OUTPUT, "valueReference": reference}]}


def state_of(task: Resource) -> RequestState:
    for coding in task["businessStatus"]["coding"]:
        if coding["system"] == REQUEST_STATE:
            return RequestState(coding["code"])
    raise RequestStateError("the request has no state", code="no-state")


def centre_of(task: Resource) -> str:
    return _extension_code(task, CENTRE)


def facility_of(task: Resource) -> str:
    """The facility that asks."""
    return _extension_code(task, FACILITY)


def study_references(task: Resource) -> list[str]:
    return [entry["valueReference"]["reference"] for entry in task.get("input", []) if entry["type"] == _STUDY_INPUT]


def report_id(task: Resource) -> str:
    """The report of a request has one id from the first draft to the last amendment."""
    return resource_id("DiagnosticReport", task["id"])


def transitions(task: Resource) -> list[Transition]:
    """Every step so far, the first first."""
    return [_read_transition(entry["extension"]) for entry in task["extension"] if entry["url"] == TRANSITION]


def reader_of(task: Resource) -> Transition | None:
    """The claim that holds now; none before the first claim and after a release."""
    for step in reversed(transitions(task)):
        if step.action is Action.CLAIM:
            return step
        if step.action is Action.RELEASE:
            return None
    return None


def readable_since(task: Resource) -> datetime | None:
    """When there first was something to read; None while the study is awaited."""
    return next((step.at for step in transitions(task) if step.state is RequestState.WAITING), None)


def last_step(task: Resource, action: Action) -> Transition | None:
    """The latest step of this kind."""
    return next((step for step in reversed(transitions(task)) if step.action is action), None)


def _refusal(action: Action, state: RequestState) -> str:
    if state is RequestState.CANCELLED:
        return "request-cancelled"
    if action is Action.CLAIM:
        return "no-study-yet" if state is RequestState.AWAITING_STUDY else "already-claimed"
    return "wrong-state"


def _moved(
    task: Resource,
    action: Action,
    state: RequestState,
    at: datetime,
    person: Person | None = None,
    comment: str = "",
) -> Resource:
    coding = {"system": REQUEST_STATE, "code": state.value, "display": DISPLAY[state]}
    return {
        **task,
        "extension": [*task["extension"], _transition(action, state, at, person, comment)],
        "status": TASK_STATUS[state],
        "businessStatus": {"coding": [coding]},
        "lastModified": written(at),
    }


def _transition(action: Action, state: RequestState, at: datetime, person: Person | None, comment: str) -> Resource:
    parts: list[Resource] = [
        {"url": "action", "valueCode": action.value},
        {"url": "state", "valueCode": state.value},
        {"url": "at", "valueInstant": written(at)},
    ]
    if person is not None:
        parts += [
            {"url": "person", "valueString": person.name},
            {"url": "display", "valueString": person.display},
            {"url": "organization", "valueReference": person.organization},
        ]
    if comment:
        parts.append({"url": "comment", "valueString": comment})
    return {"url": TRANSITION, "extension": parts}


def _read_transition(parts: list[Resource]) -> Transition:
    found = {part["url"]: part for part in parts}

    def text(name: str) -> str:
        value: str = found.get(name, {}).get("valueString", "")
        return value

    return Transition(
        action=Action(found["action"]["valueCode"]),
        state=RequestState(found["state"]["valueCode"]),
        at=read(found["at"]["valueInstant"]),
        person=text("person"),
        display=text("display"),
        facility=found["organization"]["valueReference"]["identifier"]["value"] if "organization" in found else "",
        comment=text("comment"),
    )


def _study_input(study: Resource) -> Resource:
    reference: Resource = {"reference": f"ImagingStudy/{study['id']}"}
    uid = next((i for i in study.get("identifier", []) if i.get("system") == DICOM_UID), None)
    if uid is not None:
        reference["identifier"] = uid
    return {"type": _STUDY_INPUT, "valueReference": reference}


def _extension_code(task: Resource, url: str) -> str:
    for entry in task["extension"]:
        if entry["url"] == url:
            code: str = entry["valueCode"]
            return code
    raise RequestStateError(f"the request has no {url}", code="no-state")
