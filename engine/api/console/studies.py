"""Studies: which are whole, short or late, what is missing of one, and a person saying that it will not come."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.console.paging import Cursor, Limit
from engine.api.services import Hub
from engine.config.community import Role
from engine.errors import NotFoundError, ParseError, RequestStateError
from engine.store import announcements, audit, study_states, wholeness
from engine.store.study_states import Kept, Listed, Said
from engine.store.wholeness import State, StudyState

router = APIRouter(prefix="/api/studies", tags=["console"])
Operator = Annotated[Caller, Depends(needs(Role.ADMIN, Role.INTEGRATOR))]
Uid = Annotated[str, Path(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]


class StudyLine(BaseModel):
    """A study and how it stands, without its patient.

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


class StudyManifest(BaseModel):
    """What a study consists of at a facility, and what was announced of it."""

    study: StudyLine
    instances: list[Kept]
    announced: list[Said]


class StudyPage(BaseModel):
    """Studies; those whose state changed last come first. `next` is null on the last page."""

    studies: list[StudyLine]
    next: str | None


class Waiver(BaseModel):
    """Why what is missing will not come. `facility` is needed where several have studies of this UID."""

    why: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
    facility: Annotated[str | None, Field(max_length=64)] = None


@router.get("")
async def list_studies(
    hub: Hub,
    _: CurrentCaller,
    state: State | None = None,
    facility: str | None = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> StudyPage:
    async with hub.pool.acquire() as connection:
        found = await study_states.listed(connection, state=state, facility=facility, before=_place(after), limit=limit)
    following = f"{found[-1].state.since.isoformat()}~{found[-1].state.uid}" if len(found) == limit else None
    return StudyPage(studies=[_line(one) for one in found], next=following)


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


def _only(found: list[Listed], facility: str | None) -> StudyState:
    """Raises NotFoundError, or ParseError where the facility has to be said."""
    states = [one.state for one in found if facility in (None, one.state.facility)]
    if not states:
        raise NotFoundError("nothing is known of this study")
    if len(states) > 1:
        names = ", ".join(sorted(state.facility for state in states))
        raise ParseError(f"several facilities have it: say which, {names}", location="facility", code="bad-parameter")
    return states[0]


def _line(one: Listed, missing: list[str] | None = None) -> StudyLine:
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
