"""Findings: what waits for a person, and settling it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from engine.api.caller import Caller, needs
from engine.api.console.paging import Cursor, Limit
from engine.api.services import Hub
from engine.config.community import Role
from engine.errors import ParseError
from engine.store import audit, finding_list
from engine.store.finding_list import FindingLine

router = APIRouter(prefix="/api/findings", tags=["console"])
Settler = Annotated[Caller, Depends(needs(Role.ADMIN, Role.INTEGRATOR, Role.READER, Role.REVIEWER))]


class FindingPage(BaseModel):
    """Findings, the newest first. `open` counts all open ones by code; `next` is null on the last page."""

    findings: list[FindingLine]
    open: dict[str, int]
    next: str | None


class Settlement(BaseModel):
    """What was done about it, in words for whoever asks later."""

    settlement: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]


@router.get("")
async def list_findings(
    hub: Hub,
    _: Settler,
    state: Literal["open", "settled"] = "open",
    code: Annotated[str | None, Query(pattern=r"^[a-z0-9-]{1,80}$")] = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> FindingPage:
    async with hub.pool.acquire() as connection:
        found = await finding_list.listed(
            connection, settled=state == "settled", code=code, before=_place(after), limit=limit
        )
        open_by_code = await finding_list.count_open(connection)
    following = f"{found[-1].found_at.isoformat()}~{found[-1].id}" if len(found) == limit else None
    return FindingPage(findings=found, open=open_by_code, next=following)


@router.post("/{finding}/settle")
async def settle_finding(finding: UUID, body: Settlement, hub: Hub, caller: Settler) -> FindingLine:
    """404 when there is none, 409 when somebody settled it before."""
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        line = await finding_list.settle(connection, finding, caller.name, body.settlement, at)
        subject = f"Envelope/{line.envelope}" if line.envelope else (line.about or f"Finding/{line.id}")
        act = audit.Audited(caller.name, "settle-finding", subject, {"finding": str(line.id), "code": line.code})
        await audit.write(connection, [act], at)
    return line


def _place(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    try:
        moment, _, finding = cursor.partition("~")
        at = datetime.fromisoformat(moment.replace(" ", "+"))
        if at.tzinfo is None:
            raise ValueError
        return at, UUID(finding)
    except ValueError:
        raise ParseError("expected the `next` of the page before", location="after", code="bad-parameter") from None
