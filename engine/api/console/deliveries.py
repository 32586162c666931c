"""Deliveries: what is owed to whom, what was tried, which proof came back; sending again, or giving up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from engine.api.caller import Caller, CurrentCaller
from engine.api.console.acts import (
    Bulk,
    Code,
    CodeQuery,
    Destination,
    DestinationQuery,
    Done,
    Operator,
    Why,
    refuse_everything,
)
from engine.api.console.paging import Cursor, Limit, id_of
from engine.api.services import Hub, Services
from engine.codecs import acknowledgment, text
from engine.config.community import Role
from engine.errors import ParseError
from engine.store import delivery_list, stranded
from engine.store.delivery_list import Attempt, Choice, DeliveryLine

router = APIRouter(prefix="/api/deliveries", tags=["console"])
State = Literal["owed", "delivered", "refused", "given-up"]
Hours = Annotated[float, Field(ge=0, le=24 * 3660)]


class Receipt(BaseModel):
    """The proof. `text` is null for whoever may not read payloads: the other side can write anything into it."""

    code: str
    control_id: str
    text: str | None


class Delivery(BaseModel):
    """One owed sending. `attempts` counts all, `latest_attempts` shows the last ones.

    state  owed, delivered, refused (the other side will not have it) or given-up (a person said so, and why)
    """

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
    given_up_at: datetime | None
    given_up_by: str | None
    given_up_why: str | None


class DeliveryPage(BaseModel):
    """Deliveries, the newest first. `next` is null on the last page."""

    deliveries: list[Delivery]
    next: str | None


class EndpointBacklog(BaseModel):
    """What one endpoint is owed. `configured` is false where nobody delivers to it any more: add it again, or give
    what it is owed up. `last_error` is that of the delivery all others wait for."""

    endpoint: str
    configured: bool
    owed: int
    refused: int
    oldest_owed_at: datetime | None
    last_error: str | None


class DeliveryBulk(Bulk):
    """Which ones: every key that is given must fit. `error` is the code of the last attempt's error."""

    deliveries: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    endpoint: Destination | None = None
    state: Literal["owed", "refused", "given-up"] | None = None
    error: Code | None = None
    older_than_hours: Hours | None = None


@router.get("")
async def list_deliveries(
    hub: Hub,
    caller: CurrentCaller,
    state: State | None = None,
    endpoint: DestinationQuery = None,
    error: CodeQuery = None,
    older_than_hours: Annotated[Hours | None, Query()] = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> DeliveryPage:
    choice = Choice(None, state, endpoint, error, _before(hub, older_than_hours))
    async with hub.pool.acquire() as connection:
        lines = await delivery_list.listed(connection, choice, after=id_of(after), limit=limit)
    following = str(lines[-1].id) if len(lines) == limit else None
    return DeliveryPage(deliveries=[shown(line, caller) for line in lines], next=following)


@router.get("/backlog")
async def backlog(hub: Hub, _: CurrentCaller) -> list[EndpointBacklog]:
    """What every endpoint is owed, also one that is configured no more."""
    async with hub.pool.acquire() as connection:
        lines = await delivery_list.backlog(connection)
    return [
        EndpointBacklog(
            endpoint=line.endpoint,
            configured=line.endpoint in hub.config.destinations,
            owed=line.owed,
            refused=line.refused,
            oldest_owed_at=line.oldest_owed_at,
            last_error=line.last_error,
        )
        for line in lines
    ]


@router.post("/retry")
async def retry_deliveries(body: DeliveryBulk, hub: Hub, caller: Operator) -> Done:
    """Owes them again, all or none, with the same bytes and control ids; what was delivered is left alone."""
    choice = _chosen(hub, body)
    async with hub.pool.acquire() as connection, connection.transaction():
        if body.dry_run:
            counts = await delivery_list.count(connection, choice)
            return Done(count=sum(counts.values()) - counts.get("delivered", 0), dry_run=True)
        count = await delivery_list.retry(connection, choice, caller.name, body.reason, hub.clock())
    return Done(count=count, dry_run=False)


@router.post("/give-up")
async def give_up_deliveries(body: DeliveryBulk, hub: Hub, caller: Operator) -> Done:
    """Owes them no more, all or none; they may be owed again later."""
    choice = _chosen(hub, body)
    async with hub.pool.acquire() as connection, connection.transaction():
        if body.dry_run:
            counts = await delivery_list.count(connection, choice)
            return Done(count=counts.get("owed", 0) + counts.get("refused", 0), dry_run=True)
        count = await delivery_list.give_up(connection, choice, caller.name, body.reason, hub.clock())
        await stranded.tell(connection, hub.config.destinations, hub.clock())
    return Done(count=count, dry_run=False)


@router.post("/{delivery}/retry")
async def retry_delivery(delivery: UUID, body: Why, hub: Hub, caller: Operator) -> Done:
    """404 when there is none, 409 when it was delivered."""
    async with hub.pool.acquire() as connection, connection.transaction():
        await delivery_list.refuse_delivered(connection, delivery)
        count = await delivery_list.retry(connection, Choice([delivery]), caller.name, body.reason, hub.clock())
    return Done(count=count, dry_run=False)


@router.post("/{delivery}/give-up")
async def give_up_delivery(delivery: UUID, body: Why, hub: Hub, caller: Operator) -> Done:
    """404 when there is none, 409 when it was delivered. Giving up what was given up before changes nothing."""
    async with hub.pool.acquire() as connection, connection.transaction():
        await delivery_list.refuse_delivered(connection, delivery)
        count = await delivery_list.give_up(connection, Choice([delivery]), caller.name, body.reason, hub.clock())
        await stranded.tell(connection, hub.config.destinations, hub.clock())
    return Done(count=count, dry_run=False)


def _chosen(hub: Services, body: DeliveryBulk) -> Choice:
    asked = (body.deliveries, body.endpoint, body.state, body.error, body.older_than_hours)
    refuse_everything(body, any(value is not None for value in asked))
    return Choice(body.deliveries, body.state, body.endpoint, body.error, _before(hub, body.older_than_hours))


def _before(hub: Services, hours: float | None) -> datetime | None:
    return hub.clock() - timedelta(hours=hours) if hours is not None else None


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
        given_up_at=line.given_up_at,
        given_up_by=line.given_up_by,
        given_up_why=line.given_up_why,
    )


def _receipt(receipt: bytes, caller: Caller) -> Receipt:
    written = text.decode(receipt).text if caller.may(Role.ADMIN, Role.INTEGRATOR) else None
    try:
        answer = acknowledgment.read(receipt)
    except ParseError:
        return Receipt(code="", control_id="", text=written)
    return Receipt(code=answer.code, control_id=answer.control_id, text=written)
