"""Deliveries: what is owed to whom, what was tried, which proof came back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from engine.api.caller import Caller, CurrentCaller
from engine.api.console.paging import Cursor, Limit, id_of
from engine.api.services import Hub
from engine.codecs import acknowledgment, text
from engine.config.community import Role
from engine.errors import ParseError
from engine.store import delivery_list
from engine.store.delivery_list import Attempt, DeliveryLine

router = APIRouter(prefix="/api/deliveries", tags=["console"])


class Receipt(BaseModel):
    """The proof. `text` is null for whoever may not read payloads: the other side can write anything into it."""

    code: str
    control_id: str
    text: str | None


class Delivery(BaseModel):
    """One owed sending: owed, delivered or refused. `attempts` counts all, `latest_attempts` shows the last ones."""

    id: UUID
    endpoint: str
    control_id: str
    state: str
    route: str
    envelope: UUID | None
    about: str | None
    created_at: datetime
    payload_bytes: int
    attempts: int
    latest_attempts: list[Attempt]
    next_attempt_at: datetime | None
    last_error: str | None
    delivered_at: datetime | None
    receipt: Receipt | None


class DeliveryPage(BaseModel):
    """Deliveries, the newest first. `next` is null on the last page."""

    deliveries: list[Delivery]
    next: str | None


@router.get("")
async def list_deliveries(
    hub: Hub,
    caller: CurrentCaller,
    state: Literal["owed", "delivered", "refused"] | None = None,
    endpoint: Annotated[str | None, Query(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> DeliveryPage:
    async with hub.pool.acquire() as connection:
        lines = await delivery_list.listed(connection, state=state, endpoint=endpoint, before=id_of(after), limit=limit)
    following = str(lines[-1].id) if len(lines) == limit else None
    return DeliveryPage(deliveries=[shown(line, caller) for line in lines], next=following)


def shown(line: DeliveryLine, caller: Caller) -> Delivery:
    """A delivery as this caller may see it."""
    return Delivery(
        id=line.id,
        endpoint=line.endpoint,
        control_id=line.control_id,
        state=line.state,
        route=line.route,
        envelope=line.envelope,
        about=line.about,
        created_at=line.created_at,
        payload_bytes=line.payload_bytes,
        attempts=line.attempts,
        latest_attempts=line.latest_attempts,
        next_attempt_at=line.next_attempt_at if line.state == "owed" else None,
        last_error=line.last_error,
        delivered_at=line.delivered_at,
        receipt=_receipt(line.receipt, caller) if line.receipt is not None else None,
    )


def _receipt(receipt: bytes, caller: Caller) -> Receipt:
    written = text.decode(receipt).text if caller.may(Role.ADMIN, Role.INTEGRATOR) else None
    try:
        answer = acknowledgment.read(receipt)
    except ParseError:
        return Receipt(code="", control_id="", text=written)
    return Receipt(code=answer.code, control_id=answer.control_id, text=written)
