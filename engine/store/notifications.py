"""What are application entities owed to hear? Messages of N-services, in the outbox until they are accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from engine.errors import ParseError
from engine.store.database import Connection
from engine.store.outbox import CHANNEL, Due

_COLUMNS = "id, endpoint, control_id, payload, about, attempts, next_attempt_at"


class Operation(StrEnum):
    CREATE = "n-create"
    SET = "n-set"
    ACTION = "n-action"
    EVENT_REPORT = "n-event-report"


class Notification(msgspec.Struct, frozen=True):
    """One message, as it is sent; the payload of its delivery.

    number  action or event type, where the operation has one
    """

    operation: Operation
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    data_set: bytes
    number: int = 0


@dataclass(frozen=True, slots=True)
class Owed:
    """One message that is owed.

    destination  an endpoint by its name, or an `ae_destination`; each is told in order
    control_id   the UID by which people look for it: of the step, the study or the transaction
    about        the resource it tells of, where it is of one
    route        why it is owed: the key of the configuration, or the service that promises it
    """

    destination: str
    message: Notification
    control_id: str
    about: str | None
    route: str


def read(payload: bytes) -> Notification:
    """Raises ParseError."""
    try:
        return msgspec.json.decode(payload, type=Notification)
    except msgspec.MsgspecError as error:
        raise ParseError(f"no notification: {error}", code="payload-unreadable") from error


async def owe(connection: Connection, owed: Sequence[Owed], at: datetime, due_at: datetime | None = None) -> list[Due]:
    """Adds messages in the caller's transaction, each with its attempts before it: none."""
    added = []
    for one in owed:
        row = await connection.fetchrow(
            f"""
            insert into delivery (id, endpoint, control_id, payload, next_attempt_at, created_at, about, route,
                                  notifies)
            values ($1, $2, $3, $4, $5, $6, $7, $8, true) returning {_COLUMNS}
            """,
            await _next_id(connection, one.destination, at),
            one.destination,
            one.control_id,
            msgspec.json.encode(one.message),
            due_at or at,
            at,
            one.about,
            one.route,
        )
        added.append(Due(**row))
    if added:
        await connection.execute("select pg_notify($1, '')", CHANNEL)
    return added


async def claim(connection: Connection, destination: str, at: datetime, until: datetime) -> Due | None:
    """The oldest message that a destination is owed, if it is due; nobody else gets it before `until`."""
    async with connection.transaction():
        row = await connection.fetchrow(
            f"""
            select {_COLUMNS} from delivery
            where endpoint = $1 and state = 'owed' and notifies order by id limit 1 for update
            """,
            destination,
        )
        if row is None or row["next_attempt_at"] > at:
            return None
        await connection.execute("update delivery set next_attempt_at = $2 where id = $1", row["id"], until)
    return Due(**row)


async def claim_longer(connection: Connection, due: Due, old: datetime, until: datetime) -> bool:
    """By whoever has claimed it until `old`, and tells it still; False where it is no longer theirs."""
    status: str = await connection.execute(
        "update delivery set next_attempt_at = $3 where id = $1 and state = 'owed' and next_attempt_at = $2",
        due.id,
        old,
        until,
    )
    return status.endswith("1")


async def waiting(connection: Connection, destinations: Sequence[str]) -> dict[str, datetime]:
    """Those of them that are owed something, each with when it may next be told."""
    rows = await connection.fetch(
        """
        select name, oldest.next_attempt_at from unnest($1::text[]) name cross join lateral (
            select next_attempt_at from delivery
            where endpoint = name and state = 'owed' and notifies order by id limit 1
        ) oldest
        """,
        list(destinations),
    )
    return {row["name"]: row["next_attempt_at"] for row in rows}


async def _next_id(connection: Connection, destination: str, at: datetime) -> UUID:
    """A UUIDv7 after all that the destination is owed, whichever process owed it and whatever its clock said.

    Its last 62 bits are a number of a sequence, so two within a millisecond keep their order.
    """
    row = await connection.fetchrow(
        """
        select nextval('notification_place') as place,
               (select id from delivery where endpoint = $1 and state = 'owed' and notifies
                order by id desc limit 1) as newest
        """,
        destination,
    )
    millisecond = int(at.timestamp() * 1000)
    if row["newest"] is not None:
        millisecond = max(millisecond, row["newest"].int >> 80)
    return UUID(int=(millisecond << 80) | (0x7 << 76) | (0b10 << 62) | row["place"])
