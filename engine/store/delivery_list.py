"""What is owed to whom, what was tried, and which proof came back? Deliveries for people to look at and act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.errors import NotFoundError, RequestStateError
from engine.store.database import Connection
from engine.store.outbox import CHANNEL

_COLUMNS = """
    d.id, d.endpoint, d.control_id, d.state, d.attempts, d.next_attempt_at, d.created_at, d.envelope, d.about, d.route,
    d.last_error, d.delivered_at, d.receipt, d.given_up_at, d.given_up_by, d.given_up_why,
    length(d.payload) as payload_bytes
"""
_SETTLE_REFUSED = """
    update finding f set settled_at = $8, settled_by = $6, settlement = $9
    from owed o
    where f.about in ('Delivery/' || o.id, o.about) and f.code = 'delivery-refused' and f.settled_at is null
"""
_AUDIT = """
    insert into audit (at, actor, action, subject, detail)
    select $8, $6, $10, 'Delivery/' || id, jsonb_build_object('reason', $7::text) from owed
"""
_MOST_ATTEMPTS = 20
"""The last attempts of each delivery: a destination that was dead for a week has thousands."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sending: `outcome` is delivered or the code of the error."""

    at: datetime
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """One owed sending. `latest_attempts` holds the last ones, oldest first; `attempts` counts all."""

    id: UUID
    endpoint: str
    control_id: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    envelope: UUID | None
    about: str | None
    route: str
    last_error: str | None
    delivered_at: datetime | None
    receipt: bytes | None
    given_up_at: datetime | None
    given_up_by: str | None
    given_up_why: str | None
    payload_bytes: int
    latest_attempts: list[Attempt]


_CHOSEN = """
    ($1::uuid[] is null or d.id = any($1))
    and ($2::text is null or d.state = $2)
    and ($3::text is null or d.endpoint = $3)
    and ($4::text is null or d.last_error = $4)
    and ($5::timestamptz is null or d.created_at < $5)
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which deliveries; None leaves a question open. `error` is the code of the last attempt's error."""

    deliveries: Sequence[UUID] | None = None
    state: str | None = None
    endpoint: str | None = None
    error: str | None = None
    before: datetime | None = None

    @property
    def values(self) -> tuple[object, ...]:
        deliveries = list(self.deliveries) if self.deliveries is not None else None
        return deliveries, self.state, self.endpoint, self.error, self.before


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one endpoint is owed, refused, and was given up on."""

    endpoint: str
    owed: int
    refused: int
    oldest_owed_at: datetime | None
    last_error: str | None


async def listed(connection: Connection, choice: Choice, *, after: UUID | None, limit: int) -> list[DeliveryLine]:
    """Deliveries, the newest first; `after` is the last one of the page before."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from delivery d
        where {_CHOSEN} and ($6::uuid is null or d.id < $6)
        order by d.id desc limit $7
        """,
        *choice.values,
        after,
        limit,
    )
    return await _with_attempts(connection, rows)


async def backlog(connection: Connection) -> list[Backlog]:
    """Every endpoint that is owed something or refused something, whether it is configured or not."""
    rows = await connection.fetch(
        """
        with counted as (
            select endpoint, count(*) as owed, 0 as refused, min(created_at) as oldest from delivery
            where state = 'owed' group by endpoint
            union all
            select endpoint, 0, count(*), null from delivery where state = 'refused' group by endpoint
        )
        select endpoint, sum(owed)::bigint as owed, sum(refused)::bigint as refused, min(oldest) as oldest_owed_at,
               (select last_error from delivery d where d.endpoint = c.endpoint and d.state = 'owed'
                order by d.id limit 1) as last_error
        from counted c group by endpoint order by endpoint
        """
    )
    return [Backlog(**dict(row)) for row in rows]


async def count(connection: Connection, choice: Choice) -> dict[str, int]:
    """How many deliveries of each state there are among these."""
    rows = await connection.fetch(
        f"select d.state, count(*) as number from delivery d where {_CHOSEN} group by 1 order by 1", *choice.values
    )
    return {row["state"]: row["number"] for row in rows}


async def retry(connection: Connection, choice: Choice, by: str, why: str, at: datetime) -> int:
    """Owes these again, with the same bytes, in their old order and due now; what was delivered is left. How many."""
    status = await connection.execute(
        f"""
        with chosen as (
            select d.id from delivery d where {_CHOSEN} and d.state <> 'delivered' order by d.id for update of d
        ), owed as (
            update delivery d
            set state = 'owed', next_attempt_at = $8, given_up_at = null, given_up_by = null, given_up_why = null
            from chosen c where d.id = c.id returning d.id, d.about
        ), settled as (
            {_SETTLE_REFUSED}
        )
        {_AUDIT}
        """,
        *choice.values,
        by,
        why,
        at,
        f"Sent again: {why}",
        "retry-delivery",
    )
    await connection.execute("select pg_notify($1, '')", CHANNEL)
    return int(status.rsplit(" ", 1)[1])


async def give_up(connection: Connection, choice: Choice, by: str, why: str, at: datetime) -> int:
    """Owes these no more: what waits behind them goes out. What was delivered is left. Returns how many."""
    status = await connection.execute(
        f"""
        with chosen as (
            select d.id from delivery d where {_CHOSEN} and d.state in ('owed', 'refused') order by d.id for update of d
        ), owed as (
            update delivery d
            set state = 'given-up', given_up_at = $8, given_up_by = $6, given_up_why = $7
            from chosen c where d.id = c.id returning d.id, d.about
        ), settled as (
            {_SETTLE_REFUSED}
        )
        {_AUDIT}
        """,
        *choice.values,
        by,
        why,
        at,
        f"Given up: {why}",
        "give-up-delivery",
    )
    await connection.execute("select pg_notify($1, '')", CHANNEL)
    return int(status.rsplit(" ", 1)[1])


async def refuse_delivered(connection: Connection, delivery: UUID) -> None:
    """Raises NotFoundError, or RequestStateError `already-delivered`: the receipt proves it."""
    state = await connection.fetchval("select state from delivery where id = $1", delivery)
    if state is None:
        raise NotFoundError("there is no such delivery")
    if state == "delivered":
        raise RequestStateError("this delivery has arrived: its receipt proves it", code="already-delivered")


async def caused_by(
    connection: Connection, envelopes: Sequence[UUID], things: Sequence[str], deliveries: Sequence[UUID]
) -> list[DeliveryLine]:
    """Deliveries that these envelopes caused, that are about these resources, or that have these ids; oldest first."""
    if not envelopes and not things and not deliveries:
        return []
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from delivery d
        where d.envelope = any($1) or d.about = any($2) or d.id = any($3) order by d.id
        """,
        list(envelopes),
        list(things),
        list(deliveries),
    )
    return await _with_attempts(connection, rows)


async def _with_attempts(connection: Connection, rows: Sequence[Any]) -> list[DeliveryLine]:
    if not rows:
        return []
    attempts = await connection.fetch(
        """
        select d.id as delivery, a.at, a.outcome, a.detail
        from unnest($1::uuid[]) d(id)
        cross join lateral (
            select at, outcome, detail from delivery_attempt where delivery = d.id order by at desc limit $2
        ) a order by a.at
        """,
        [row["id"] for row in rows],
        _MOST_ATTEMPTS,
    )
    made: dict[UUID, list[Attempt]] = {row["id"]: [] for row in rows}
    for attempt in attempts:
        made[attempt["delivery"]].append(Attempt(attempt["at"], attempt["outcome"], attempt["detail"]))
    return [DeliveryLine(**dict(row), latest_attempts=made[row["id"]]) for row in rows]
