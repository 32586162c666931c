"""The reconcile queue: studies of which it is not clear whose they are, and a person's word about each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import asyncpg
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from engine.api.caller import Caller
from engine.api.console.acts import CodeQuery, FacilityPath, NameQuery, Operator, Why, Words
from engine.api.console.paging import Cursor, Limit
from engine.api.console.reconcile_view import StudyView, view_of_study
from engine.api.services import Hub, Services
from engine.errors import ParseError
from engine.recording import decide_studies
from engine.recording.decide_studies import Decision, Target, Title
from engine.store import as_sent, audit, reconcile_cases, study_finding
from engine.store.database import Connection
from engine.store.imaging_query import Key
from engine.store.reconcile_cases import CaseLine, Choice
from engine.store.statements import Kind
from engine.store.study_finding import StudySeen
from engine.studies import study_id

router = APIRouter(prefix="/api/reconcile", tags=["console"])

_UID = r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$"
"""What is taken into the store."""
Uid = Annotated[str, StringConstraints(pattern=_UID)]
UidPath = Annotated[str, Path(pattern=_UID)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64, pattern=r"^[^\x00-\x1f\x7f\\]*$")]
Uids = Annotated[list[Uid], Field(max_length=10_000)]
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
_TRIES = 4


class CasePage(BaseModel):
    """Studies that wait, the newest first; `by_kind` counts all; `next` is null on the last page."""

    cases: list[CaseLine]
    by_kind: dict[str, int]
    next: str | None


class DecidedPage(BaseModel):
    """Studies of which something was decided, the last decided first; `next` is null on the last page."""

    studies: list[StudySeen]
    next: int | None


class _Acting(Why):
    """A decision on a study as it was when it had this revision."""

    revision: Annotated[int, Field(ge=0, le=2**31 - 1)]


class Whose(BaseModel):
    """An order of the facility by its accession number, or else a patient of it by number."""

    model_config = ConfigDict(extra="forbid")

    accession: Short = ""
    patient_id: Short = ""
    issuer: Short = ""

    @property
    def target(self) -> Target | None:
        """Raises ParseError where both are given."""
        if self.accession and self.patient_id:
            raise ParseError("say an accession number or a patient, not both", code="bad-parameter")
        return Target(self.accession, self.patient_id, self.issuer) if self.accession or self.patient_id else None


class Assigning(_Acting, Whose):
    pass


class Splitting(_Acting, Whose):
    """Whole series, or single instances, that become a study of their own; whose it is may be said at once."""

    series: Uids = Field(default_factory=list)
    instances: Uids = Field(default_factory=list)


class Merging(_Acting):
    into: Uid


class ChoosingContent(_Acting):
    """What becomes of another content that came under a used SOP Instance UID.

    keep     it is an instance of its own, and gets a UID of its own
    replace  it is the right one, and is served in place of the first
    leave    it is not served
    """

    sop_uid: Uid
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    choice: Literal["keep", "replace", "leave"]


class Rejecting(_Acting):
    """Without series and instances the whole study. The title is one of IHE RAD, IOCM."""

    title: Literal["quality", "patient-safety", "worklist", "retention"]
    series: Uids = Field(default_factory=list)
    instances: Uids = Field(default_factory=list)


class Decided(BaseModel):
    """The decision's number, by which it is undone."""

    number: int


_TITLES = {
    "quality": Title.QUALITY,
    "patient-safety": Title.PATIENT_SAFETY,
    "worklist": Title.WRONG_WORKLIST_ENTRY,
    "retention": Title.RETENTION_EXPIRED,
}


@router.get("")
async def list_cases(
    hub: Hub,
    caller: Operator,
    kind: CodeQuery = None,
    facility: NameQuery = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> CasePage:
    async with hub.pool.acquire() as connection, connection.transaction():
        lines = await reconcile_cases.listed(connection, Choice(kind, facility), after=_place(after), limit=limit)
        by_kind = await reconcile_cases.count(connection)
        subjects = [f"ImagingStudy/{study_id(line.facility, line.study_uid)}" for line in lines]
        acts = [audit.Audited(caller.name, "search", subject) for subject in subjects]
        await audit.write(connection, acts, hub.clock())
    last = lines[-1] if len(lines) == limit else None
    following = f"{last.opened_at.isoformat()}~{last.facility}~{last.study_uid}" if last else None
    return CasePage(cases=lines, by_kind=by_kind, next=following)


@router.get("/find")
async def find_studies(
    hub: Hub,
    caller: Operator,
    said: Annotated[Words, Query()],
    facility: NameQuery = None,
    limit: Limit = 100,
) -> list[StudySeen]:
    """Studies by patient's name, Patient ID, accession number or Study Instance UID, whether they wait or not.

    Also those of which nothing is served any more, and by what objects said before somebody decided about them.
    """
    async with hub.pool.acquire() as connection, connection.transaction():
        keys = await study_finding.meant(connection, said, facility, limit)
        return await _shown(connection, hub, caller, keys)


@router.get("/decided")
async def list_decided(
    hub: Hub, caller: Operator, facility: NameQuery = None, after: Before = None, limit: Limit = 100
) -> DecidedPage:
    async with hub.pool.acquire() as connection, connection.transaction():
        keys, following = await study_finding.decided(connection, facility, after, limit)
        studies = await _shown(connection, hub, caller, keys)
    return DecidedPage(studies=studies, next=following)


@router.get("/find/{study_uid}")
async def find_study(study_uid: UidPath, hub: Hub, _: Operator) -> list[str]:
    """The facilities that have a study under this UID, whether it waits or not."""
    async with hub.pool.acquire() as connection:
        return await as_sent.facilities_of(connection, study_uid)


@router.get("/studies/{facility}/{study_uid}")
async def show_study(facility: FacilityPath, study_uid: UidPath, hub: Hub, caller: Operator) -> StudyView:
    """What the objects say, what the order says, who may be meant, and what was decided before."""
    async with hub.pool.acquire() as connection, connection.transaction():
        view = await view_of_study(connection, facility, study_uid)
        act = audit.Audited(caller.name, "read", f"ImagingStudy/{study_id(facility, study_uid)}")
        await audit.write(connection, [act], hub.clock())
    return view


@router.post("/studies/{facility}/{study_uid}/assign")
async def assign_study(
    facility: FacilityPath, study_uid: UidPath, body: Assigning, hub: Hub, caller: Operator
) -> Decided:
    """The study is of this order, or of this patient. 404 when there is no such order or patient."""
    if body.target is None:
        raise ParseError("say whose: an accession number or a patient number", code="bad-parameter")
    decision = Decision(facility, study_uid, body.revision, Kind.ASSIGN, body.target)
    return await _decide(hub, caller, decision, body.reason)


@router.post("/studies/{facility}/{study_uid}/split")
async def split_study(
    facility: FacilityPath, study_uid: UidPath, body: Splitting, hub: Hub, caller: Operator
) -> Decided:
    decision = Decision(
        facility,
        study_uid,
        body.revision,
        Kind.SPLIT,
        body.target,
        series=tuple(body.series),
        instances=tuple(body.instances),
    )
    return await _decide(hub, caller, decision, body.reason)


@router.post("/studies/{facility}/{study_uid}/merge")
async def merge_study(facility: FacilityPath, study_uid: UidPath, body: Merging, hub: Hub, caller: Operator) -> Decided:
    """Everything of the study is part of the other one, and says of patient and study what that one says."""
    decision = Decision(facility, study_uid, body.revision, Kind.MERGE, into=body.into)
    return await _decide(hub, caller, decision, body.reason)


@router.post("/studies/{facility}/{study_uid}/content")
async def choose_content(
    facility: FacilityPath, study_uid: UidPath, body: ChoosingContent, hub: Hub, caller: Operator
) -> Decided:
    decision = Decision(
        facility, study_uid, body.revision, Kind(body.choice), instances=(body.sop_uid,), sha256=body.sha256
    )
    return await _decide(hub, caller, decision, body.reason)


@router.post("/studies/{facility}/{study_uid}/reject")
async def reject_study(
    facility: FacilityPath, study_uid: UidPath, body: Rejecting, hub: Hub, caller: Operator
) -> Decided:
    """It is found and fetched no more; whoever got it is told by a rejection note."""
    decision = Decision(
        facility,
        study_uid,
        body.revision,
        Kind.REJECT,
        series=tuple(body.series),
        instances=tuple(body.instances),
        title=_TITLES[body.title],
    )
    return await _decide(hub, caller, decision, body.reason)


@router.post("/decisions/{number}/undo")
async def undo_decision(number: Number, body: Why, hub: Hub, caller: Operator) -> Decided:
    """404 when there is none; 409 when it was undone before, or when a later decision has to be undone first."""
    async with hub.pool.acquire() as connection, connection.transaction():
        await decide_studies.undo(connection, number, caller.name, body.reason, hub.clock())
    return Decided(number=number)


async def _shown(connection: Connection, hub: Services, caller: Caller, keys: Sequence[Key]) -> list[StudySeen]:
    studies = await study_finding.seen(connection, keys)
    subjects = [f"ImagingStudy/{study_id(one.facility, one.study_uid)}" for one in studies]
    await audit.write(connection, [audit.Audited(caller.name, "search", subject) for subject in subjects], hub.clock())
    return studies


async def _decide(hub: Services, caller: Caller, decision: Decision, why: str) -> Decided:
    """Once more where a gateway that stored objects of these studies locked them in another order."""
    for _ in range(_TRIES):
        try:
            return await _try(hub, caller, decision, why)
        except asyncpg.TransactionRollbackError:
            continue
    return await _try(hub, caller, decision, why)


async def _try(hub: Services, caller: Caller, decision: Decision, why: str) -> Decided:
    async with hub.pool.acquire() as connection, connection.transaction():
        number = await decide_studies.decide(connection, hub.config, decision, caller.name, why, hub.clock())
    return Decided(number=number)


def _place(cursor: str | None) -> tuple[datetime, str, str] | None:
    if cursor is None:
        return None
    try:
        moment, facility, uid = cursor.split("~")
        at = datetime.fromisoformat(moment.replace(" ", "+"))
    except ValueError:
        raise ParseError("expected the `next` of the page before", location="after", code="bad-parameter") from None
    if at.tzinfo is None:
        raise ParseError("expected the `next` of the page before", location="after", code="bad-parameter")
    return at, facility, uid
