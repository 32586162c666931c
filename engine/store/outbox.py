"""What is owed, to whom, and which proof came back? Deliveries, one order per endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from engine.store.database import Connection

CHANNEL = "hutong_outbox"
"""The notification sent, at commit, when something new is owed."""

_LEADER_LOCK = 0x6875746F6E67


@dataclass(frozen=True, slots=True)
class Owed:
    """One sending that is owed: these exact bytes, under this control id, until a receipt closes it.

    about  what it returns or announces (`Task/…`), where it is no forwarded envelope
    """

    id: UUID
    endpoint: str
    control_id: str
    payload: bytes
    route: str
    envelope: UUID | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """The oldest delivery of an endpoint that is still owed, and when it may next be tried."""

    id: UUID
    endpoint: str
    control_id: str
    payload: bytes
    about: str | None
    attempts: int
    next_attempt_at: datetime


async def owe(connection: Connection, owed: Sequence[Owed], at: datetime) -> None:
    """Adds deliveries in the caller's transaction: they are owed exactly when its records are there."""
    if not owed:
        return
    await connection.executemany(
        """
        insert into delivery (id, endpoint, control_id, payload, next_attempt_at, created_at, envelope, about, route)
        values ($1, $2, $3, $4, $5, $5, $6, $7, $8)
        """,
        [(o.id, o.endpoint, o.control_id, o.payload, at, o.envelope, o.about, o.route) for o in owed],
    )
    await connection.execute("select pg_notify($1, '')", CHANNEL)


async def lead(connection: Connection) -> bool:
    """Becomes the one that delivers, for as long as the connection lives; False while another one is."""
    leading: bool = await connection.fetchval("select pg_try_advisory_lock($1)", _LEADER_LOCK)
    return leading


async def oldest_owed(connection: Connection, endpoint: str) -> Due | None:
    row = await connection.fetchrow(
        """
        select id, endpoint, control_id, payload, about, attempts, next_attempt_at
        from delivery where endpoint = $1 and state = 'owed' order by id limit 1
        """,
        endpoint,
    )
    return Due(**row) if row else None


async def delivered(connection: Connection, due: Due, receipt: bytes, at: datetime) -> None:
    """Closes a delivery with its proof."""
    await connection.execute(
        """
        update delivery set state = 'delivered', attempts = attempts + 1, receipt = $2, delivered_at = $3,
                            last_error = null
        where id = $1
        """,
        due.id,
        receipt,
        at,
    )
    await _attempted(connection, due.id, at, "delivered", "")


async def postponed(
    connection: Connection, due: Due, code: str, detail: str, next_attempt_at: datetime, at: datetime
) -> None:
    """Keeps a delivery owed: the same bytes go out again at next_attempt_at."""
    await connection.execute(
        "update delivery set attempts = attempts + 1, last_error = $2, next_attempt_at = $3 where id = $1",
        due.id,
        code,
        next_attempt_at,
    )
    await _attempted(connection, due.id, at, code, detail)


async def refused(connection: Connection, due: Due, code: str, detail: str, at: datetime) -> None:
    """Takes a delivery that the other side refused for good out of the order; a finding tells a person.

    What a person gave up meanwhile stays given up.
    """
    await connection.execute(
        """
        update delivery set state = case state when 'owed' then 'refused' else state end, attempts = attempts + 1,
                            last_error = $2
        where id = $1
        """,
        due.id,
        code,
    )
    await _attempted(connection, due.id, at, code, detail)


async def attempts_with(connection: Connection, delivery: UUID, *outcomes: str) -> int:
    """How many attempts ended as one of these patterns of `like` says, since a person had it sent again."""
    count: int = await connection.fetchval(
        """
        select count(*) from delivery_attempt
        where delivery = $1 and outcome like any ($2::text[]) and at > coalesce(
            (select max(at) from audit where subject = $3 and action = 'retry-delivery'), '-infinity')
        """,
        delivery,
        list(outcomes),
        f"Delivery/{delivery}",
    )
    return count


async def _attempted(connection: Connection, delivery: UUID, at: datetime, outcome: str, detail: str) -> None:
    await connection.execute(
        "insert into delivery_attempt (delivery, at, outcome, detail) values ($1, $2, $3, $4)",
        delivery,
        at,
        outcome,
        detail,
    )
