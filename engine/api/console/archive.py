"""The journal by the month: what a month holds, its lines for an export, and dropping it once it is exported."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from engine.api.caller import Caller, needs
from engine.api.services import Hub
from engine.config.community import Role
from engine.errors import RequestStateError
from engine.store import archive, audit
from engine.store.archive import Obstacle, Print
from engine.store.partitions import Month

router = APIRouter(prefix="/api/journal", tags=["console"])
Administrator = Annotated[Caller, Depends(needs(Role.ADMIN))]
NDJSON = "application/x-ndjson"
MonthName = Annotated[str, Field(pattern=r"^(19[7-9][0-9]|2[0-9]{3})-(0[1-9]|1[0-2])$")]


class Months(BaseModel):
    """`months`: those that hold envelopes, the oldest first. Later ones than `newest_prunable` cannot be pruned yet."""

    months: list[str]
    newest_prunable: str


class MonthState(BaseModel):
    """`obstacles`: what must be settled before the month can be pruned. `print`: what belongs to it now."""

    month: str
    hub: str
    at: datetime
    obstacles: list[Obstacle]
    print: Print


class Drop(BaseModel):
    """`print`: as it was before the export. `sha256`: of the export, for whoever asks later where the month is."""

    print: Print
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Dropped(BaseModel):
    month: str
    rows: dict[str, int]


@router.get("")
async def journal_months(hub: Hub, _: Administrator) -> Months:
    async with hub.pool.acquire() as connection:
        found = await archive.months(connection)
    return Months(months=[str(month) for month in found], newest_prunable=str(archive.newest_prunable(hub.clock())))


@router.get("/{month}")
async def journal_month(month: MonthName, hub: Hub, _: Administrator) -> MonthState:
    at, asked = hub.clock(), Month.named(month)
    async with hub.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        found = await archive.obstacles(connection, asked)
        state = await archive.fingerprint(connection, asked)
    return MonthState(month=month, hub=hub.config.name, at=at, obstacles=found, print=state)


@router.get("/{month}/envelopes", response_class=Response)
async def journal_envelopes(
    month: MonthName, hub: Hub, caller: Administrator, after: Annotated[UUID | None, Query()] = None
) -> Response:
    """Lines of JSON, the next ones after an envelope; none after the last. The first page is audited for all."""
    async with hub.pool.acquire() as connection, connection.transaction():
        if after is None:
            act = audit.Audited(caller.name, "export-journal", f"Journal/{month}")
            await audit.write(connection, [act], hub.clock())
        lines = await archive.envelopes(connection, Month.named(month), after)
    return Response("".join(f"{line}\n" for line in lines), media_type=NDJSON)


@router.get("/{month}/deliveries", response_class=Response)
async def journal_deliveries(
    month: MonthName, hub: Hub, _: Administrator, after: Annotated[UUID | None, Query()] = None
) -> Response:
    """As the envelopes: deliveries that no envelope caused."""
    async with hub.pool.acquire() as connection:
        lines = await archive.reports(connection, Month.named(month), after)
    return Response("".join(f"{line}\n" for line in lines), media_type=NDJSON)


@router.post("/{month}/drop")
async def drop_month(month: MonthName, body: Drop, hub: Hub, caller: Administrator) -> Dropped:
    """409 when the month is too young, when something in it is not done with, or when it is not what was exported."""
    at, asked = hub.clock(), Month.named(month)
    if asked > archive.newest_prunable(at):
        raise RequestStateError(f"{month} is too young: messages may still come into it", code="too-young")
    detail: dict[str, str | int | bool | None] = {"sha256": body.sha256, "envelopes": body.print.rows.get("journal", 0)}
    act = audit.Audited(caller.name, "prune-journal", f"Journal/{month}", detail)
    async with hub.pool.acquire() as connection:
        await archive.drop(connection, asked, body.print, act, at)
    return Dropped(month=month, rows=body.print.rows)
