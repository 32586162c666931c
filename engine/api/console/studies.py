"""Studies: which are whole, short or late, what is missing of one, and a person saying that it will not come."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.console.acts import FacilityPath, Words
from engine.api.console.paging import Cursor, Limit
from engine.api.reading.seen import Answer
from engine.api.services import Hub, Services
from engine.config.community import Role
from engine.errors import NotFoundError, ParseError, RequestStateError
from engine.store import (
    announcements,
    audit,
    senders_asked,
    study_finding,
    study_standing,
    study_states,
    transfers,
    wholeness,
)
from engine.store.study_standing import SeriesStanding, Waived
from engine.store.study_states import Kept, Listed, Said
from engine.store.transfers import TransferLine
from engine.store.wholeness import State, StudyState

router = APIRouter(prefix="/api/studies", tags=["console"])
_OPERATES = needs(Role.ADMIN, Role.INTEGRATOR)
Operator = Annotated[Caller, Depends(_OPERATES)]
Uid = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]
_MOST_MEANT = 500
_MOST_NAMED = 1_000
"""Missing instances that are told one by one; how many there are is always told."""


class StudyLine(BaseModel):
    """A study and how it stands; its patient only where `patients` was asked for.

    announced     instances that it has, as the one says who says most; 0 where nothing was announced
    missing_uids  those of the missing that are known by name: the first of them in a list, all where it is asked for
    sources       who announced something: mpps, commitment, query
    """

    uid: str
    facility: str
    channel: str
    peer: str
    state: State
    since: datetime
    instances: int
    announced: int
    missing: int
    missing_uids: list[str]
    sources: list[str]
    accession: str
    modalities: list[str]
    last_stored_at: datetime | None
    patient_name: str = ""
    patient_id: str = ""


class StudyManifest(BaseModel):
    """What a study consists of at a facility, and what was announced of it."""

    study: StudyLine
    instances: list[Kept]
    announced: list[Said]


class StudyPage(BaseModel):
    """Studies; those whose state changed last come first. `next` is null on the last page.

    by_state    how many there are that are receiving, short or late, of all facilities
    facilities  names by their codes
    """

    studies: list[StudyLine]
    by_state: dict[str, int]
    facilities: dict[str, str]
    next: str | None


class StudyStanding(BaseModel):
    """One study with its patient, for somebody who wants to know what is missing and who could say more.

    announced   who counted what: mpps, commitment, query, transfer
    waived      what persons said will not come
    asks        whether its sender can be asked what it has; asked_at: when it last answered
    transfers   how it moves between hubs
    """

    study: StudyLine
    facility_name: str
    series: list[SeriesStanding]
    announced: list[Said]
    waived: list[Waived]
    asks: bool
    asked_at: datetime | None
    transfers: list[TransferLine]


class Asking(BaseModel):
    """`facility` is needed where several have studies of this UID."""

    facility: Annotated[str | None, Field(max_length=64)] = None


class Waiver(BaseModel):
    """Why what is missing will not come. `facility` is needed where several have studies of this UID."""

    why: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
    facility: Annotated[str | None, Field(max_length=64)] = None


@router.get("", response_model=StudyPage)
async def list_studies(
    request: Request,
    hub: Hub,
    caller: CurrentCaller,
    state: State | None = None,
    facility: str | None = None,
    said: Annotated[Words | None, Query()] = None,
    patients: bool = False,
    after: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """With `patients` their names and numbers too, and with `said` only studies of such a name, number or UID: both for
    those who run the hub, and audited. 304, and no audit row, when If-None-Match names what the caller has.
    """
    if patients or said is not None:
        await _OPERATES(request)
    async with hub.pool.acquire() as connection, connection.transaction():
        among = None if said is None else await study_finding.meant(connection, said, facility, _MOST_MEANT)
        found = await study_states.listed(
            connection, state=state, facility=facility, before=_place(after), limit=limit, among=among
        )
        page = StudyPage(
            studies=[_line(one, patient=patients) for one in found],
            by_state=await study_states.unsettled(connection),
            facilities={code: one.name for code, one in hub.config.facilities.items()},
            next=f"{found[-1].state.since.isoformat()}~{found[-1].state.uid}" if len(found) == limit else None,
        )
        answer = Answer(page)
        if answer.is_known_to(request):
            return answer.unchanged()
        if patients or said is not None:
            act = audit.Audited(caller.name, "search", "ImagingStudy", {"found": len(found)})
            await audit.write(connection, [act], hub.clock())
    return answer.whole()


@router.get("/{uid}/at/{facility}", response_model=StudyStanding)
async def read_standing(request: Request, uid: Uid, facility: FacilityPath, hub: Hub, caller: Operator) -> Response:
    """One study of a facility, series by series. 404 when it has none of this UID and nobody announced it.

    304, and no audit row, when If-None-Match names what the caller has.
    """
    async with hub.pool.acquire() as connection, connection.transaction():
        one = next((o for o in await study_states.of_study(connection, uid) if o.state.facility == facility), None)
        if one is None:
            raise NotFoundError("nothing is known of this study")
        missing = (await wholeness.missing(connection, uid, facility))[:_MOST_NAMED]
        known = hub.config.facilities.get(facility)
        standing = StudyStanding(
            study=_line(one, missing, patient=True),
            facility_name=known.name if known else "",
            series=await study_standing.series_of(connection, uid, facility, missing),
            announced=await study_states.announcements_of(connection, uid, facility),
            waived=await study_standing.waived_of(connection, uid, facility),
            asks=_can_be_asked(hub, one),
            asked_at=one.asked_at,
            transfers=await transfers.transfers_of(connection, uid, facility),
        )
        answer = Answer(standing)
        if answer.is_known_to(request):
            return answer.unchanged()
        await audit.write(connection, [audit.Audited(caller.name, "read", f"Study/{uid}")], hub.clock())
    return answer.whole()


@router.get("/{uid}")
async def read_study(uid: Uid, hub: Hub, _: CurrentCaller) -> list[StudyLine]:
    """The study at each facility that has it or announced it, with everything that is missing. 404 when none does."""
    async with hub.pool.acquire() as connection:
        found = await study_states.of_study(connection, uid)
        if not found:
            raise NotFoundError("nothing is known of this study")
        return [_line(one, await wholeness.missing(connection, uid, one.state.facility)) for one in found]


@router.get("/{uid}/manifest")
async def read_manifests(uid: Uid, hub: Hub, caller: CurrentCaller) -> list[StudyManifest]:
    """Every instance with its SHA-256, and what was announced; at each facility that has the study or announced it."""
    async with hub.pool.acquire() as connection:
        found = await study_states.of_study(connection, uid)
        if not found:
            raise NotFoundError("nothing is known of this study")
        await audit.write(connection, [audit.Audited(caller.name, "read", f"Study/{uid}")], hub.clock())
        return [
            StudyManifest(
                study=_line(one, await wholeness.missing(connection, uid, one.state.facility)),
                instances=await study_states.kept_of(connection, uid, one.state.facility),
                announced=await study_states.announcements_of(connection, uid, one.state.facility),
            )
            for one in found
        ]


@router.post("/{uid}/waive")
async def waive_missing(uid: Uid, body: Waiver, hub: Hub, caller: Operator) -> StudyLine:
    """What is missing now will not come: it is not counted as missing any more. 409 when nothing is missing."""
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        study = _only(await study_states.of_study(connection, uid), body.facility)
        if not study.missing:
            raise RequestStateError("nothing is missing of this study", code="nothing-missing")
        await announcements.waive(connection, uid, study.facility, caller.name, body.why, at)
        detail: dict[str, str | int | bool | None] = {"facility": study.facility, "missing": study.missing}
        await audit.write(connection, [audit.Audited(caller.name, "waive-missing", f"Study/{uid}", detail)], at)
        (found,) = [one for one in await study_states.of_study(connection, uid) if one.state.facility == study.facility]
    return _line(found)


@router.post("/{uid}/ask")
async def ask_sender(uid: Uid, body: Asking, hub: Hub, caller: Operator) -> StudyLine:
    """The sender of the study is asked by C-FIND what it has of it, whatever it said before.

    409 `not-askable` when no object has come, or its sender cannot be asked (`queryable`).
    """
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        found = await study_states.of_study(connection, uid)
        study = _only(found, body.facility)
        (one,) = [one for one in found if one.state.facility == study.facility]
        if not _can_be_asked(hub, one):
            raise RequestStateError("the sender of this study cannot be asked", code="not-askable")
        await senders_asked.ask_again(connection, uid, study.facility, at)
        act = audit.Audited(caller.name, "ask-sender", f"Study/{uid}", {"facility": study.facility})
        await audit.write(connection, [act], at)
    return _line(one)


def _can_be_asked(hub: Services, one: Listed) -> bool:
    title = one.peer.partition("@")[0]
    return one.last_stored_at is not None and any(
        entry.queryable and (entry.ae_title, entry.facility) == (title, one.state.facility)
        for channel in hub.config.dicom_channels
        if channel.name == one.channel
        for entry in channel.ae_entries
    )


def _only(found: list[Listed], facility: str | None) -> StudyState:
    """Raises NotFoundError, or ParseError where the facility has to be said."""
    states = [one.state for one in found if facility in (None, one.state.facility)]
    if not states:
        raise NotFoundError("nothing is known of this study")
    if len(states) > 1:
        names = ", ".join(sorted(state.facility for state in states))
        raise ParseError(f"several facilities have it: say which, {names}", location="facility", code="bad-parameter")
    return states[0]


def _line(one: Listed, missing: list[str] | None = None, *, patient: bool = False) -> StudyLine:
    state = one.state
    return StudyLine(
        uid=state.uid,
        facility=state.facility,
        channel=one.channel,
        peer=one.peer,
        state=state.state,
        since=state.since,
        instances=one.instances,
        announced=state.announced,
        missing=state.missing,
        missing_uids=list(state.missing_uids) if missing is None else missing,
        sources=list(state.sources),
        accession=one.accession,
        modalities=list(one.modalities),
        last_stored_at=one.last_stored_at,
        patient_name=one.patient_name if patient else "",
        patient_id=one.patient_id if patient else "",
    )


def _place(after: str | None) -> tuple[datetime, str] | None:
    if after is None:
        return None
    at, _, uid = after.partition("~")
    try:
        place = datetime.fromisoformat(at)
    except ValueError:
        place = None
    if place is None or place.tzinfo is None:
        raise ParseError("expected the `next` of another page", location="after", code="bad-parameter")
    return place, uid
