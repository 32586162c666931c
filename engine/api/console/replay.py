"""Replay: journaled messages are processed again by today's mappings, portion by portion, in their old places."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from engine.api.console.acts import Bulk, Code, MessageType, Name, Operator, refuse_everything, types_of_mapping
from engine.api.console.paging import Limit
from engine.api.services import Hub, Services
from engine.codecs import hl7v2
from engine.config import Hl7Channel
from engine.errors import ParseError
from engine.identifiers import lane
from engine.lanes import lanes_of
from engine.store import replays
from engine.store.replays import Again, Came, Choice, Ended, Told

router = APIRouter(prefix="/api/replay", tags=["console"])

PORTION = 200
"""Queued at once. Older messages run first, so a portion is what live ones may have to wait for."""
PORTION_BYTES = 16 * 1024 * 1024

Word = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[^\x00]*$")]


class Replay(Bulk):
    """Which messages that ended: every key that is given must fit.

    since, until  when they were received
    mapping       the message types that it takes
    patient       an identifier of PID-3 or MRG-1, at any facility
    code          of a finding they had, open or settled
    skipped       also those that a person skipped
    redeliver     what they owe by the routes of today is owed once more; otherwise nothing is sent again
    after         `next` of the portion before
    run           `run` of the portion before: what they all came to is told together
    """

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    envelopes: Annotated[list[UUID], Field(max_length=10_000)] | None = None
    channel: Name | None = None
    message_type: MessageType | None = None
    mapping: Annotated[str, Field(max_length=100)] | None = None
    control_id: Word | None = None
    patient: Word | None = None
    code: Code | None = None
    skipped: bool = False
    redeliver: bool = False
    after: UUID | None = None
    run: UUID | None = None


class Queued(BaseModel):
    """`count` were queued now, or would be in all with `dry_run`; `next` is null after the last portion.

    run  under which `/api/replay/{run}` tells what came of it; null with `dry_run`
    """

    count: int
    by_type: dict[str, int]
    next: UUID | None
    run: UUID | None
    dry_run: bool


class Waiting(BaseModel):
    """How many are queued and not processed again yet."""

    waiting: int


@router.get("")
async def replay_waiting(hub: Hub, _: Operator) -> Waiting:
    async with hub.pool.acquire() as connection:
        return Waiting(waiting=await replays.waiting(connection))


@router.post("")
async def replay_portion(body: Replay, hub: Hub, caller: Operator) -> Queued:
    """Queues the next portion, all of it or nothing. What nothing newer has changed is recorded anew; where that is
    equal to what is recorded, no version is made. What came of it: `/api/replay/{run}`."""
    run = body.run or uuid4()
    choice = _choice(hub, body)
    async with hub.pool.acquire() as connection, connection.transaction():
        if body.dry_run:
            by_type = await replays.count(connection, choice)
            return Queued(count=sum(by_type.values()), by_type=by_type, next=None, run=None, dry_run=True)
        found = await replays.portion(connection, choice, body.after, PORTION, PORTION_BYTES)
        again = [Again(ended, _lanes(hub, ended)) for ended in found]
        at = hub.clock()
        await replays.queue(connection, again, caller.name, body.reason, at, redeliver=body.redeliver, run=run)
    return Queued(count=len(found), by_type={}, next=found[-1].id if found else None, run=run, dry_run=False)


@router.get("/{run}")
async def replay_told(run: UUID, hub: Hub, _: Operator) -> Told:
    """What a run came to so far; of messages that another run has replayed since as well."""
    async with hub.pool.acquire() as connection:
        return await replays.told(connection, run)


@router.get("/{run}/messages")
async def replayed_messages(
    run: UUID,
    hub: Hub,
    _: Operator,
    after: UUID | None = None,
    limit: Limit = 100,
    everything: Annotated[bool, Query(alias="all")] = False,
) -> list[Came]:
    """Message by message in the order they arrived: those that changed something, left something to what is newer,
    or cannot be understood today; with `all` the others too."""
    async with hub.pool.acquire() as connection:
        return await replays.came(connection, run, after, limit, all_of_them=everything)


def _choice(hub: Services, body: Replay) -> Choice:
    asked = (body.since, body.until, body.envelopes, body.channel, body.message_type, body.mapping)
    refuse_everything(body, any(value is not None for value in (*asked, body.control_id, body.patient, body.code)))
    types = {body.message_type} if body.message_type is not None else None
    if body.mapping is not None:
        of_mapping = set(types_of_mapping(hub, body.mapping))
        types = of_mapping if types is None else {t for t in of_mapping if _fits(t, body.message_type)}
    return Choice(
        since=body.since,
        until=body.until,
        envelopes=body.envelopes,
        channel=body.channel,
        message_types=sorted(types) if types is not None else None,
        control_id=body.control_id,
        lanes=[lane(facility, body.patient) for facility in hub.config.facilities] if body.patient else None,
        code=body.code,
        skipped=body.skipped,
    )


def _fits(message_type: str, asked: str | None) -> bool:
    return asked is None or asked in (message_type, message_type.partition("^")[0])


def _lanes(hub: Services, ended: Ended) -> tuple[str, ...]:
    """As the intake gave them out."""
    channel = hub.config.channels.get(ended.channel)
    charset = channel.charset if isinstance(channel, Hl7Channel) else None
    try:
        header = hl7v2.peek(ended.payload, charset, ended.channel)
    except ParseError:
        header = None
    return lanes_of(header, ended.facility, ended.channel)
