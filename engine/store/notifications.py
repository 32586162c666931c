"""What are other application entities owed to hear, and who heard it? Messages of N-services, kept until accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from engine.store.database import Connection

CHANNEL = "hutong_notification"
"""The notification of PostgreSQL sent, at commit, when something new is owed."""


class Operation(StrEnum):
    CREATE = "n-create"
    SET = "n-set"
    ACTION = "n-action"
    EVENT_REPORT = "n-event-report"


@dataclass(frozen=True, slots=True)
class Owed:
    """One message that is owed.

    destination  `ae:CHANNEL/TITLE` or `endpoint:NAME`; each is told in order
    number       action or event type, where the operation has one
    about        what it tells of: `Commitment/…`, `PerformedStep/…`, `Study/…`
    """

    destination: str
    operation: Operation
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    data_set: bytes
    about: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """A message whose turn it is, by its number; `attempts` were made before."""

    id: int
    attempts: int
    owed: Owed


def entry(channel: str, ae_title: str) -> str:
    """The destination that an application entity of a channel is."""
    return f"ae:{channel}/{ae_title}"


def title_of(destination: str) -> str:
    """The AE title of an application entity of a channel."""
    return destination.partition("/")[2]


def endpoint(name: str) -> str:
    return f"endpoint:{name}"


async def owe(connection: Connection, owed: Sequence[Owed], at: datetime, due_at: datetime | None = None) -> list[int]:
    """Adds messages in the caller's transaction; their numbers."""
    numbers = [
        await connection.fetchval(
            """
            insert into notification (destination, operation, sop_class, sop_uid, number, transfer_syntax, data_set,
                                      about, created_at, next_attempt_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning id
            """,
            one.destination,
            one.operation,
            one.sop_class,
            one.sop_uid,
            one.number,
            one.transfer_syntax,
            one.data_set,
            one.about,
            at,
            due_at or at,
        )
        for one in owed
    ]
    if numbers:
        await connection.execute("select pg_notify($1, '')", CHANNEL)
    return numbers


async def claim(connection: Connection, destination: str, at: datetime, until: datetime) -> Due | None:
    """The oldest message that a destination is owed, if it is due; nobody else gets it before `until`."""
    async with connection.transaction():
        row = await connection.fetchrow(
            """
            select id, next_attempt_at, attempts, destination, operation, sop_class, sop_uid, transfer_syntax, data_set,
                   about, number
            from notification where destination = $1 and state = 'owed' order by id limit 1 for update
            """,
            destination,
        )
        if row is None or row["next_attempt_at"] > at:
            return None
        await connection.execute("update notification set next_attempt_at = $2 where id = $1", row["id"], until)
    owed = Owed(
        row["destination"],
        Operation(row["operation"]),
        row["sop_class"],
        row["sop_uid"],
        row["transfer_syntax"],
        bytes(row["data_set"]),
        row["about"],
        row["number"],
    )
    return Due(row["id"], row["attempts"], owed)


async def waiting(connection: Connection, destinations: Sequence[str]) -> dict[str, datetime]:
    """Those of them that are owed something, each with when it may next be told."""
    rows = await connection.fetch(
        """
        select distinct on (destination) destination, next_attempt_at from notification
        where state = 'owed' and destination = any($1::text[]) order by destination, id
        """,
        list(destinations),
    )
    return {row["destination"]: row["next_attempt_at"] for row in rows}


async def delivered(connection: Connection, number: int, at: datetime) -> None:
    """Closes a message that was accepted."""
    await connection.execute(
        """
        update notification set state = 'delivered', attempts = attempts + 1, delivered_at = $2, last_error = null
        where id = $1 and state = 'owed'
        """,
        number,
        at,
    )


async def postponed(connection: Connection, number: int, error: str, next_attempt_at: datetime) -> None:
    await connection.execute(
        "update notification set attempts = attempts + 1, last_error = $2, next_attempt_at = $3 where id = $1",
        number,
        error,
        next_attempt_at,
    )


async def refused(connection: Connection, number: int, error: str) -> None:
    """Takes a message that the other side refuses for good out of the order."""
    await connection.execute(
        "update notification set state = 'refused', attempts = attempts + 1, last_error = $2 where id = $1",
        number,
        error,
    )
