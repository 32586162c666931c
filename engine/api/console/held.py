"""Held envelopes: what waits for a person, and releasing or skipping many at once."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from engine.api.console.acts import (
    Bulk,
    Code,
    CodeQuery,
    Done,
    MessageType,
    Name,
    NameQuery,
    Operator,
    Rule,
    RuleQuery,
    refuse_everything,
    types_of_mapping,
)
from engine.api.console.paging import Cursor, Limit, id_of
from engine.api.services import Hub, Services
from engine.store import held
from engine.store.database import Connection
from engine.store.held import Choice, HeldLine

router = APIRouter(prefix="/api/held", tags=["console"])


class HeldPage(BaseModel):
    """Held envelopes, the oldest first. `by_code` counts all that the filter finds; `next` is null on the last page."""

    held: list[HeldLine]
    by_code: dict[str, int]
    next: str | None


class HeldBulk(Bulk):
    """Which ones: every key that is given must fit. `mapping` means the message types that it takes."""

    envelopes: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    channel: Name | None = None
    code: Code | None = None
    rule: Rule | None = None
    message_type: MessageType | None = None
    mapping: Annotated[str, Field(max_length=100)] | None = None


@router.get("")
async def list_held(
    hub: Hub,
    _: Operator,
    channel: NameQuery = None,
    code: CodeQuery = None,
    rule: RuleQuery = None,
    message_type: Annotated[MessageType | None, Query()] = None,
    mapping: Annotated[str | None, Query(max_length=100)] = None,
    after: Cursor = None,
    limit: Limit = 100,
) -> HeldPage:
    choice = _choice(hub, None, channel, code, rule, message_type, mapping)
    async with hub.pool.acquire() as connection:
        lines = await held.listed(connection, choice, id_of(after), limit)
        by_code = await held.count(connection, choice)
    return HeldPage(held=lines, by_code=by_code, next=str(lines[-1].id) if len(lines) == limit else None)


@router.post("/release")
async def release_held(body: HeldBulk, hub: Hub, caller: Operator) -> Done:
    """All of them or none; those that fail again are held again."""
    choice = _chosen(hub, body)
    async with hub.pool.acquire() as connection, connection.transaction():
        if body.dry_run:
            return await _counted(connection, choice)
        count = await held.release(connection, choice, caller.name, body.reason, hub.clock())
    return Done(count=count, dry_run=False)


@router.post("/skip")
async def skip_held(body: HeldBulk, hub: Hub, caller: Operator) -> Done:
    """All of them or none; nothing is made of them, and what waits behind them goes on."""
    choice = _chosen(hub, body)
    async with hub.pool.acquire() as connection, connection.transaction():
        if body.dry_run:
            return await _counted(connection, choice)
        count = await held.skip(connection, choice, caller.name, body.reason, hub.clock())
    return Done(count=count, dry_run=False)


async def _counted(connection: Connection, choice: Choice) -> Done:
    return Done(count=sum((await held.count(connection, choice)).values()), dry_run=True)


def _chosen(hub: Services, body: HeldBulk) -> Choice:
    asked = (body.envelopes, body.channel, body.code, body.rule, body.message_type, body.mapping)
    refuse_everything(body, any(value is not None for value in asked))
    return _choice(hub, *asked)


def _choice(
    hub: Services,
    envelopes: list[UUID] | None,
    channel: str | None,
    code: str | None,
    rule: str | None,
    message_type: str | None,
    mapping: str | None,
) -> Choice:
    types: set[str] | None = None
    if mapping is not None:
        types = set(types_of_mapping(hub, mapping))
    if message_type is not None:
        types = {message_type} if types is None else types & {message_type}
    return Choice(envelopes, channel, code, rule, sorted(types) if types is not None else None)
