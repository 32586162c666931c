"""Which reading requests are on the worklist of a DICOM workstation? UPS-RS (PS3.18 §11) over the same requests.

Claiming here is claiming in the reading room. Requests are opened by orders and end with a signed report: a workstation
neither makes nor completes them, and one that gives up puts its request back for others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from engine.api.caller import Caller, needs
from engine.api.reading import desk, workitem
from engine.api.reading.claiming import claimed
from engine.api.reading.desk import Docket, open_docket
from engine.api.reading.lines import request_row
from engine.api.reading.requests import centres_of
from engine.api.reading.workitem_keys import Key, keys_of
from engine.api.services import Hub, Services
from engine.centres import case as cases
from engine.centres import request as requests
from engine.centres.case import Case
from engine.centres.people import Person
from engine.centres.states import Action, RequestState
from engine.config import Centre, Role
from engine.errors import AccessError, ParseError, RequestStateError
from engine.store import audit
from engine.store import centres as store

router = APIRouter(prefix="/dicomweb/workitems", tags=["dicomweb"])

JSON = "application/dicom+json"
Reader = Annotated[Caller, Depends(needs(Role.READER, Role.REVIEWER, Role.ADMIN))]
Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")]

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_MOST = 500
_TOGETHER = 200
"""Requests that are read at once while it is searched."""
_MOST_LOOKED_AT = 20_000
"""Requests of one search: a key that nothing matches would have all of them read, of every year."""
_IGNORED = '299 hutong "An attribute is not supported. Matching was done without it"'
_MORE = '299 hutong "There are additional results"'
_TRANSACTION, _STATE = "00081195", "00741000"


@router.get("", response_class=Response)
async def search(request: Request, caller: Reader, hub: Hub) -> Response:
    """Workitems of the caller's centres that match, the most urgent and oldest first; 204 when none does.

    An answer holds 500 at most, and says when there are more: `offset` leads on, in the same order. A key that no
    workitem tells is ignored, which is said too.
    """
    limit, offset = (_number(request, name, default) for name, default in (("limit", _MOST), ("offset", 0)))
    keys, ignored = keys_of(request.query_params.multi_items())
    at, names = hub.clock(), centres_of(caller, hub.config, None)
    last = offset + min(limit, _MOST)
    told: list[workitem.DataSet] = []
    matched = looked_at = 0
    async with hub.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        async for tasks in store.open_requests_in_pages(connection, _states(keys), names, _TOGETHER):
            for docket in await desk.fill(connection, tasks):
                said = _told(docket, hub, request, at)
                if all(key.matches(said) for key in keys):
                    matched += 1
                    if offset < matched <= last:
                        told.append(said)
            looked_at += len(tasks)
            if matched > last or looked_at >= _MOST_LOOKED_AT:
                break
        await audit.write(connection, [audit.Audited(caller.name, "search", "Task", {"found": len(told)})], at)
    more = matched > last or looked_at >= _MOST_LOOKED_AT
    warnings = [text for text, given in ((_IGNORED, ignored), (_MORE, more)) if given]
    headers = {"Warning": ", ".join(warnings)} if warnings else {}
    return _json(told, headers=headers) if told else Response(status_code=204, headers=headers)


@router.post("", response_class=Response)
async def create(caller: Reader) -> Response:
    """Raises AccessError: a request is opened by an order, and by nothing else."""
    raise AccessError("reading requests are opened by orders, not by workstations", code="forbidden")


@router.get("/{uid}", response_class=Response)
async def retrieve(uid: Uid, request: Request, caller: Reader, hub: Hub) -> Response:
    """One workitem; its Transaction UID is never told (PS3.18 §11.5)."""
    request_id, at = workitem.request_of(uid), hub.clock()
    async with hub.pool.acquire() as connection:
        docket = await open_docket(connection, request_id)
        desk.must_see(caller, desk.centre_of(docket.task.body, hub.config))
        said = _told(docket, hub, request, at)
        await audit.write(connection, [audit.Audited(caller.name, "read", f"Task/{request_id}")], at)
    return _json([said])


@router.put("/{uid}/state", response_class=Response)
async def change_state(uid: Uid, request: Request, caller: Reader, hub: Hub) -> Response:
    """Claims (IN PROGRESS), puts back (CANCELED), or confirms that the report is signed (COMPLETED); PS3.18 §11.7.

    Raises RequestStateError, told as 409, for what the request does not allow now, or another Transaction UID.
    """
    request_id = workitem.request_of(uid)
    transaction, wanted = _change(await request.body())
    match wanted:
        case workitem.IN_PROGRESS:

            def claim(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
                case = claimed(docket, person, centre, at)
                return Case(workitem.with_transaction(case.task, transaction), case.report, case.observation)

            await desk.act(hub, caller, request_id, Action.CLAIM, claim)
        case workitem.CANCELED:

            def release(docket: Docket, person: Person, centre: Centre, at: datetime) -> Case:
                if workitem.transaction_of(docket.task.body) != transaction:
                    raise RequestStateError("claimed under another transaction", code="wrong-transaction")
                return cases.release(docket.case, person, centre, at)

            await desk.act(hub, caller, request_id, Action.RELEASE, release)
        case _:
            await _confirm_completed(hub, caller, request_id)
            return Response(headers={"Warning": '299 hutong "The UPS is already in the requested state of COMPLETED"'})
    return Response()


@router.post("/{uid}/cancelrequest", response_class=Response)
async def request_cancellation(uid: Uid, caller: Reader, hub: Hub) -> Response:
    """Raises RequestStateError: who asked for a reading withdraws its order, which cancels the request."""
    async with hub.pool.acquire() as connection:
        docket = await open_docket(connection, workitem.request_of(uid))
    desk.must_see(caller, desk.centre_of(docket.task.body, hub.config))
    raise RequestStateError("a request is cancelled by withdrawing its order", code="cancelled-by-order")


async def _confirm_completed(hub: Services, caller: Caller, request_id: str) -> None:
    async with hub.pool.acquire() as connection:
        docket = await open_docket(connection, request_id)
    desk.must_see(caller, desk.centre_of(docket.task.body, hub.config))
    if workitem.STATES[requests.state_of(docket.task.body)] != workitem.COMPLETED:
        raise RequestStateError("a request is completed by signing its report", code="report-not-signed")


def _told(docket: Docket, hub: Services, request: Request, at: datetime) -> workitem.DataSet:
    row = request_row(
        docket.task.body, docket.order, docket.patient, docket.studies, docket.states, docket.task.last_updated,
        hub.config, at,
    )  # fmt: skip
    return workitem.data_set(docket, row, f"{str(request.base_url).rstrip('/')}/dicomweb")


def _change(body: bytes) -> tuple[str, str]:
    """Transaction UID and state that are asked for. Raises ParseError."""
    try:
        read = json.loads(body)
        given = read[0] if isinstance(read, list) else read
        transaction, state = (given[tag]["Value"][0] for tag in (_TRANSACTION, _STATE))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ParseError("expected Transaction UID and Procedure Step State as DICOM JSON") from None
    if not isinstance(transaction, str) or len(transaction) > 64 or not _UID.fullmatch(transaction):
        raise ParseError("the Transaction UID is none", location=_TRANSACTION)
    if state not in (workitem.IN_PROGRESS, workitem.COMPLETED, workitem.CANCELED):
        raise ParseError("the Procedure Step State is none to change to", location=_STATE)
    return transaction, state


def _states(keys: Sequence[Key]) -> list[RequestState]:
    """In which states requests can match; the index leaves out the others."""
    named = {key.value for key in keys if key.path == (_STATE,) and key.value in workitem.STATES.values()}
    return [state for state in RequestState if not named or workitem.STATES[state] in named]


def _number(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name, str(default))
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ParseError("limit and offset: expected a number from 0", code="query-malformed")
    return int(value)


def _json(told: list[Any], headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(json.dumps(told, ensure_ascii=False), media_type=JSON, headers=headers)
