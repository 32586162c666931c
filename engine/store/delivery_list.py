"""What is owed to whom, what was tried, and which proof came back? Deliveries for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.store.database import Connection

_COLUMNS = """
    d.id, d.endpoint, d.control_id, d.state, d.attempts, d.next_attempt_at, d.created_at, d.envelope, d.about, d.route,
    d.last_error, d.delivered_at, d.receipt, length(d.payload) as payload_bytes
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
    payload_bytes: int
    latest_attempts: list[Attempt]


async def listed(
    connection: Connection, *, state: str | None, endpoint: str | None, before: UUID | None, limit: int
) -> list[DeliveryLine]:
    """Deliveries, the newest first; `before` is the last one of the page before."""
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from delivery d
        where ($1::text is null or d.state = $1) and ($2::text is null or d.endpoint = $2)
          and ($3::uuid is null or d.id < $3)
        order by d.id desc limit $4
        """,
        state,
        endpoint,
        before,
        limit,
    )
    return await _with_attempts(connection, rows)


async def caused_by(
    connection: Connection, envelopes: Sequence[UUID], things: Sequence[str], deliveries: Sequence[UUID]
) -> list[DeliveryLine]:
    """Deliveries that these envelopes caused, that are about these resources, or that have these ids; oldest first."""
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
