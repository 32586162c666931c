"""Which requests wait, what is in one, and what does a reader do with it? The routes of the reading room."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.reading import desk
from engine.api.reading.claiming import claimed
from engine.api.reading.desk import Docket, open_docket
from engine.api.reading.lines import request_row
from engine.api.reading.models import Draft, RequestView, Review, Worklist
from engine.api.reading.seen import Answer
from engine.api.reading.view import request_view
from engine.api.services import Hub
from engine.centres import case as cases
from engine.centres.case import Case
from engine.centres.people import Person
from engine.centres.states import Action, RequestState
from engine.config import Centre, Community, Role
from engine.errors import NotFoundError, RequestStateError
from engine.store import audit
from engine.store import centres as store

router = APIRouter(prefix="/api/requests", tags=["reading room"])

RequestId = Annotated[str, Path(pattern=r"^[A-Za-z0-9.-]{1,64}$")]
"""A FHIR id: http://hl7.org/fhir/R4/datatypes.html#id."""
ReadingCaller = Annotated[Caller, Depends(needs(Role.READER, Role.REVIEWER, Role.ADMIN))]

_CLOSED = frozenset({RequestState.RETURNED, RequestState.CANCELLED})
_OPEN = tuple(state for state in RequestState if state not in _CLOSED)
_MOST_ROWS = 500


@router.get("", response_model=Worklist)
async def worklist(
    request: Request,
    caller: ReadingCaller,
    hub: Hub,
    state: Annotated[list[RequestState] | None, Query()] = None,
    centre: str | None = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 200,
) -> Response:
    """The requests of the caller's centres: open ones most urgent and oldest first, then closed ones latest first.

    Without `state`, those that are open. 304 without a body, and without an audit row, when If-None-Match names what
    the caller has.
    """
    wanted = frozenset(state or _OPEN)
    names = centres_of(caller, hub.config, centre)
    at = hub.clock()
    async with hub.pool.acquire() as connection:
        tasks = await store.open_requests(connection, wanted - _CLOSED, names, limit)
        tasks += await store.closed_requests(connection, wanted & _CLOSED, names, limit - len(tasks))
        dockets = await desk.fill(connection, tasks)
        counts = await store.count_by_state(connection, _OPEN, names)
        rows = [
            request_row(d.task.body, d.order, d.patient, d.studies, d.states, d.task.last_updated, hub.config, at)
            for d in dockets
        ]
        answer = Answer(Worklist(requests=rows, counts={state.value: counts[state] for state in _OPEN}))
        if answer.is_known_to(request):
            return answer.unchanged()
        await audit.write(connection, [audit.Audited(caller.name, "search", "Task", {"found": len(tasks)})], at)
    return answer.whole()


@router.get("/{request_id}", response_model=RequestView)
async def read(request: Request, request_id: RequestId, caller: ReadingCaller, hub: Hub) -> Response:
    """One request with its images, its report and the earlier reports of the same person.

    304 without a body, and without an audit row, when If-None-Match names what the caller has.
    """
    at = hub.clock()
    async with hub.pool.acquire() as connection:
        docket = await open_docket(connection, request_id)
        desk.must_see(caller, desk.centre_of(docket.task.body, hub.config))
        view = await request_view(connection, docket, caller, hub.config, at)
        answer = Answer(view)
        if answer.is_known_to(request):
            return answer.unchanged()
        subjects = [f"Task/{request_id}", f"Patient/{view.request.patient.id}"]
        await audit.write(connection, [audit.Audited(caller.name, "read", subject) for subject in subjects], at)
    return answer.whole()


@router.post("/{request_id}/claim")
async def claim(request_id: RequestId, caller: ReadingCaller, hub: Hub) -> RequestView:
    """Of two who claim at once one gets the request; the other is told `already-claimed`."""
    return await _act(hub, caller, request_id, Action.CLAIM, claimed)


@router.post("/{request_id}/release")
async def release(request_id: RequestId, caller: ReadingCaller, hub: Hub) -> RequestView:
    """Puts the request back; what was written stays for the next reader."""

    def step(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
        return cases.release(docket.case, person, centre, at)

    return await _act(hub, caller, request_id, Action.RELEASE, step)


@router.post("/{request_id}/draft")
async def write(request_id: RequestId, draft: Draft, caller: ReadingCaller, hub: Hub) -> RequestView:
    """Keeps the words so far. Raises RequestStateError `draft-changed` when it was written from another revision."""

    def step(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
        case = cases.write(docket.case, draft.observed, draft.conclusion, person, centre)
        if draft.revision is not None and draft.revision != docket.revision:
            raise RequestStateError("the draft was changed in another window", code="draft-changed")
        return case

    return await _act(hub, caller, request_id, Action.WRITE, step)


@router.post("/{request_id}/submit")
async def submit(request_id: RequestId, caller: ReadingCaller, hub: Hub) -> RequestView:
    """Hands the draft over for review by another person."""

    def step(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
        return cases.submit(docket.case, person, centre, at)

    return await _act(hub, caller, request_id, Action.SUBMIT, step)


@router.post("/{request_id}/review")
async def review(request_id: RequestId, review: Review, caller: ReadingCaller, hub: Hub) -> RequestView:
    """Approves the report, or returns it to its writer with a comment."""
    action = Action.APPROVE if review.decision == "approve" else Action.SEND_BACK

    def step(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
        if action is Action.APPROVE:
            return cases.approve(docket.case, person, centre, at, review.comment)
        return cases.send_back(docket.case, person, centre, at, review.comment)

    return await _act(hub, caller, request_id, action, step)


@router.post("/{request_id}/sign")
async def sign(request_id: RequestId, caller: ReadingCaller, hub: Hub) -> RequestView:
    """Makes the report final and owes it to the requester, both or neither."""

    def step(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
        return cases.sign(docket.case, person, centre, at)

    return await _act(hub, caller, request_id, Action.SIGN, step)


async def _act(hub: Hub, caller: Caller, request_id: str, action: Action, step: desk.Step) -> RequestView:
    await desk.act(hub, caller, request_id, action, step)
    async with hub.pool.acquire() as connection:
        docket = await open_docket(connection, request_id)
        return await request_view(connection, docket, caller, hub.config, hub.clock())


def centres_of(caller: CurrentCaller, config: Community, centre: str | None) -> list[str]:
    """The centres the caller reads for, or the one of them that is asked for; every one for an administrator."""
    mine: Iterable[Centre] = config.centres.values()
    if not caller.may(Role.ADMIN):
        mine = [c for c in mine if caller.name in c.readers or caller.name in c.reviewers]
    names = [c.name for c in mine]
    if centre is None:
        return names
    if centre not in names:
        raise NotFoundError("no centre of that name that you read for")
    return [centre]
