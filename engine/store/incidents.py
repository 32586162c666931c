"""Which incidents are there, and which notices of them are still to be sent?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from engine.errors import NotFoundError, RequestStateError
from engine.store.database import Connection

CHANNEL = "hutong_alerts"
"""Notified, at commit, when a notice is to be sent."""

Event = Mapping[str, Any]
"""What a notice tells of one incident, as JSON; never patient data."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One trouble from its beginning to its end.

    since             when the trouble began, as far as is known; opened_at: when it was seen
    amount, most      what suffers from it now, and at worst
    next_reminder_at  None once a person has acknowledged it, or it is closed
    details           what a name and a number do not say: instances that are missing
    """

    id: UUID
    cause: str
    kind: str
    subject: str
    code: str
    severity: str
    since: datetime
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    amount: int
    most: int
    reminders: int
    next_reminder_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledgment: str | None
    details: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What one receiver is to be told, oldest event first."""

    id: UUID
    receiver: str
    created_at: datetime
    attempts: int
    events: list[Event]


_COLUMNS = ", ".join(field.name for field in fields(Incident))
_KEPT = ("acknowledged_at", "acknowledged_by", "acknowledgment")
"""Written by persons: the one that watches leaves them as they are."""


async def still_open(connection: Connection) -> list[Incident]:
    """Locked, so that an acknowledgment and a look do not overwrite each other."""
    rows = await connection.fetch(f"select {_COLUMNS} from incident where closed_at is null order by id for update")
    return [Incident(**dict(row)) for row in rows]


async def listed(
    connection: Connection, *, open_ones: bool, before: tuple[datetime, UUID] | None, limit: int
) -> list[Incident]:
    """Open or closed incidents, the newest first; `before` is the last one of the page before."""
    at, incident = before if before else (None, None)
    rows = await connection.fetch(
        f"""
        select {_COLUMNS} from incident where (closed_at is null) = $1
          and ($2::timestamptz is null or (opened_at, id) < ($2, $3::uuid))
        order by opened_at desc, id desc limit $4
        """,
        open_ones,
        at,
        incident,
        limit,
    )
    return [Incident(**dict(row)) for row in rows]


async def keep(connection: Connection, incidents: Sequence[Incident]) -> None:
    """Writes incidents as they stand now, new ones too."""
    if not incidents:
        return
    places = ", ".join(f"${number}" for number, _ in enumerate(fields(Incident), 1))
    changed = ", ".join(
        f"{field.name} = excluded.{field.name}" for field in fields(Incident) if field.name not in ("id", *_KEPT)
    )
    await connection.executemany(
        f"insert into incident ({_COLUMNS}) values ({places}) on conflict (id) do update set {changed}",
        [astuple(incident) for incident in incidents],
    )


async def acknowledge(connection: Connection, incident: UUID, by: str, why: str, at: datetime) -> Incident:
    """A person knows of it: nobody is reminded any more. Raises NotFoundError, or RequestStateError when it is closed.

    Acknowledging again replaces who and why.
    """
    row = await connection.fetchrow(
        f"""
        update incident set acknowledged_at = $2, acknowledged_by = $3, acknowledgment = $4, next_reminder_at = null
        where id = $1 and closed_at is null returning {_COLUMNS}
        """,
        incident,
        at,
        by,
        why,
    )
    if row is None:
        if await connection.fetchval("select true from incident where id = $1", incident):
            raise RequestStateError("this incident is closed", code="incident-closed")
        raise NotFoundError("there is no such incident")
    return Incident(**dict(row))


# ── Notices ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def tell(
    connection: Connection, receiver: str, notice: UUID, events: Sequence[Event], gather_secs: float, at: datetime
) -> None:
    """Adds events to the notice that a receiver is still owed, or begins one, no sooner than `gather_secs` after the
    one before."""
    added = json.dumps(list(events), ensure_ascii=False)
    status: str = await connection.execute(
        """
        update alert_notice set events = events || $2::jsonb, attempts = 0
        where id = (select id from alert_notice where receiver = $1 and state = 'owed' order by created_at limit 1)
        """,
        receiver,
        added,
    )
    if status == "UPDATE 0":
        before = await connection.fetchval("select max(created_at) from alert_notice where receiver = $1", receiver)
        earliest = before + timedelta(seconds=gather_secs) if before is not None else at
        await connection.execute(
            """
            insert into alert_notice (id, receiver, created_at, next_attempt_at, events)
            values ($1, $2, $3, $4, $5::jsonb)
            """,
            notice,
            receiver,
            at,
            max(at, earliest),
            added,
        )
    await connection.execute("select pg_notify($1, '')", CHANNEL)


async def due(connection: Connection, receiver: str, at: datetime) -> Notice | None:
    row = await connection.fetchrow(
        """
        select id, receiver, created_at, attempts, events from alert_notice
        where receiver = $1 and state = 'owed' and next_attempt_at <= $2 order by created_at limit 1
        """,
        receiver,
        at,
    )
    return Notice(**{**dict(row), "events": json.loads(row["events"])}) if row is not None else None


async def sent(connection: Connection, notice: Notice, at: datetime, next_at: datetime) -> None:
    """Closes a notice; what was added to it while it was on its way stays owed, until next_at."""
    async with connection.transaction():
        events: list[Event] = json.loads(
            await connection.fetchval("select events from alert_notice where id = $1 for update", notice.id)
        )
        left = events[len(notice.events) :]
        await connection.execute(
            """
            update alert_notice
            set events = $2::jsonb, attempts = attempts + 1, last_error = null, next_attempt_at = $4, sent_at = $3,
                state = case when $5 then 'owed' else 'sent' end
            where id = $1
            """,
            notice.id,
            json.dumps(left or events, ensure_ascii=False),
            at,
            next_at,
            bool(left),
        )


async def not_sent(connection: Connection, notice: Notice, error: str, next_at: datetime | None) -> None:
    """Tries a notice again at next_at; None gives it up."""
    await connection.execute(
        """
        update alert_notice set attempts = attempts + 1, last_error = $2,
                                next_attempt_at = coalesce($3, next_attempt_at),
                                state = case when $3::timestamptz is null then 'given-up' else state end
        where id = $1
        """,
        notice.id,
        error,
        next_at,
    )


async def forget_notices(connection: Connection, before: datetime) -> None:
    """Notices that are done with are not kept: the incidents are."""
    await connection.execute("delete from alert_notice where state <> 'owed' and created_at < $1", before)
