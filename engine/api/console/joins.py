"""Joined patients: who was merged or linked with whom and by what message, and a person's word about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Path
from pydantic import BaseModel, StringConstraints

from engine.api.caller import Caller
from engine.api.console.acts import Operator, Why
from engine.api.services import Hub, Services
from engine.errors import NotFoundError
from engine.identity import Join, JoinKind
from engine.recording import joins_by_hand
from engine.store import audit, joins, people
from engine.store.joins import Stated
from engine.store.records import VersionConflict

router = APIRouter(prefix="/api/patients", tags=["console"])

_ID = r"^[A-Za-z0-9.-]{1,64}$"
PatientId = Annotated[str, Path(pattern=_ID)]
ResourceId = Annotated[str, StringConstraints(pattern=_ID)]
Number = Annotated[int, Path(ge=1, le=2**63 - 1)]
_TRIES = 4
"""A message of the same person that is recorded at this moment makes us begin again; so many in a row are unlikely."""


class JoinLine(BaseModel):
    """One statement. `joined` was merged into `to` (and is retired), or linked to it.

    `envelope` is the message that says so, `actor` the person; `undone_by` is null for as long as it holds.
    """

    number: int
    kind: JoinKind
    joined: str
    to: str
    envelope: UUID | None
    actor: str | None
    stated_at: datetime
    undone_at: datetime | None
    undone_by: str | None
    undone_envelope: UUID | None
    undone_why: str | None


class Linked(Why):
    """Two source Patients, by their ids, that are one person."""

    joined: ResourceId
    to: ResourceId


@router.get("/{patient}/joins")
async def list_joins(patient: PatientId, hub: Hub, caller: Operator) -> list[JoinLine]:
    """Every statement about the person that this Patient, golden or of one facility, belongs to; the oldest first."""
    async with hub.pool.acquire() as connection, connection.transaction():
        links = await people.links_of(connection, [patient])
        sources = await people.sources_of(connection, [links.get(patient, patient)])
        members = next(iter(sources.values()), [])
        if not members:
            raise NotFoundError("there is no such patient")
        stated = await joins.about(connection, members)
        await audit.write(connection, [audit.Audited(caller.name, "read-joins", f"Patient/{patient}")], hub.clock())
    return [_line(one) for one in stated]


@router.post("/joins")
async def link_patients(body: Linked, hub: Hub, caller: Operator) -> JoinLine:
    """Links two source Patients. 409 when they are linked already."""
    join = Join(JoinKind.LINK, body.joined, body.to)
    return await _done(hub, caller, body.reason, join)


@router.post("/joins/{number}/undo")
async def undo_join(number: Number, body: Why, hub: Hub, caller: Operator) -> JoinLine:
    """Takes a merge or link back; nothing of it stays. 404 when there is none, 409 when it was undone before."""
    return await _done(hub, caller, body.reason, number)


async def _done(hub: Services, caller: Caller, why: str, what: Join | int) -> JoinLine:
    """Raises VersionConflict (409) when messages of the same person come in between every time."""
    for _ in range(_TRIES):
        try:
            return await _try(hub, caller, why, what)
        except (VersionConflict, asyncpg.TransactionRollbackError):
            continue
    return await _try(hub, caller, why, what)


async def _try(hub: Services, caller: Caller, why: str, what: Join | int) -> JoinLine:
    async with hub.pool.acquire() as connection, connection.transaction():
        if isinstance(what, Join):
            return _line(await joins_by_hand.link(connection, what, caller.name, why, hub.clock()))
        return _line(await joins_by_hand.undo(connection, what, caller.name, why, hub.clock()))


def _line(one: Stated) -> JoinLine:
    return JoinLine(
        number=one.id,
        kind=one.join.kind,
        joined=one.join.joined,
        to=one.join.to,
        envelope=one.envelope,
        actor=one.actor,
        stated_at=one.stated_at,
        undone_at=one.undone_at,
        undone_by=one.undone_by,
        undone_envelope=one.undone_envelope,
        undone_why=one.undone_why,
    )
