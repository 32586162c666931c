"""Alerts: the incidents of this hub, and who knows of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from engine.alerts import wording
from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.console.paging import Cursor, Limit
from engine.api.services import Hub
from engine.config.community import Role
from engine.errors import ParseError
from engine.store import audit, incidents
from engine.store.incidents import Incident

router = APIRouter(prefix="/api/alerts", tags=["console"])
Operator = Annotated[Caller, Depends(needs(Role.ADMIN, Role.INTEGRATOR))]


class Alert(BaseModel):
    """An incident: one for one cause, however often it shows itself.

    kind      channel-quiet, backlog, endpoint-away, dead-letters, held, error, disk,
              study-short or studies-short
    subject   the channel, the endpoint or the facility
    details   what a name and a number do not say: the first of the instances that are missing
    amount    how many messages, deliveries or findings suffer from it now; `most`: at worst
    """

    id: UUID
    kind: str
    subject: str
    code: str
    severity: str
    text_zh: str
    text_en: str
    since: datetime
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    amount: int
    most: int
    reminders: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledgment: str | None
    details: str


class AlertPage(BaseModel):
    """Incidents, the newest first. `next` is null on the last page."""

    alerts: list[Alert]
    next: str | None


class Acknowledgment(BaseModel):
    """What is being done about it."""

    why: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]


@router.get("")
async def list_alerts(
    hub: Hub, _: CurrentCaller, state: Literal["open", "closed"] = "open", after: Cursor = None, limit: Limit = 100
) -> AlertPage:
    async with hub.pool.acquire() as connection:
        found = await incidents.listed(connection, open_ones=state == "open", before=_place(after), limit=limit)
    following = f"{found[-1].opened_at.isoformat()}~{found[-1].id}" if len(found) == limit else None
    return AlertPage(alerts=[shown(incident, hub.clock()) for incident in found], next=following)


@router.post("/{incident}/acknowledge")
async def acknowledge_alert(incident: UUID, body: Acknowledgment, hub: Hub, caller: Operator) -> Alert:
    """Nobody is reminded of it any more; its end is still told. 404 when there is none, 409 when it is closed."""
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        known = await incidents.acknowledge(connection, incident, caller.name, body.why, at)
        act = audit.Audited(caller.name, "acknowledge-alert", f"Incident/{incident}", {"cause": known.cause})
        await audit.write(connection, [act], at)
    return shown(known, at)


def shown(incident: Incident, at: datetime) -> Alert:
    chinese, english = wording.told(incident, at)
    return Alert(
        id=incident.id,
        kind=incident.kind,
        subject=incident.subject,
        code=incident.code,
        severity=incident.severity,
        text_zh=chinese,
        text_en=english,
        since=incident.since,
        opened_at=incident.opened_at,
        last_seen_at=incident.last_seen_at,
        closed_at=incident.closed_at,
        amount=incident.amount,
        most=incident.most,
        reminders=incident.reminders,
        acknowledged_at=incident.acknowledged_at,
        acknowledged_by=incident.acknowledged_by,
        acknowledgment=incident.acknowledgment,
        details=incident.details,
    )


def _place(after: str | None) -> tuple[datetime, UUID] | None:
    if after is None:
        return None
    at, _, incident = after.partition("~")
    try:
        place = datetime.fromisoformat(at), UUID(incident)
    except ValueError:
        raise ParseError("expected the `next` of another page", location="after", code="bad-parameter") from None
    if place[0].tzinfo is None:
        raise ParseError("expected the `next` of another page", location="after", code="bad-parameter")
    return place
