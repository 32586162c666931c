"""Which instances were asked to be kept for good, and are they? Storage commitment, asked of us and by us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.store.database import Connection

KEPT = 0
"""The outcome of an instance that is kept; any other is a Failure Reason (0008,1197)."""


@dataclass(frozen=True, slots=True)
class Named:
    """An instance, as the other side names it."""

    sop_uid: str
    sop_class: str


@dataclass(frozen=True, slots=True)
class Commitment:
    """A request.

    other  who asked, or whom we asked: a destination of notifications
    first  False when its transaction UID had been used for another request before
    """

    id: int
    transaction_uid: str
    channel: str
    facility: str
    other: str
    first: bool
    instances: tuple[Named, ...]


async def take(
    connection: Connection,
    *,
    transaction_uid: str,
    channel: str,
    facility: str,
    other: str,
    instances: Sequence[Named],
    at: datetime,
    by_us: bool = False,
) -> int:
    """Adds a request in the caller's transaction; its number. The same one that comes again gets the same number,
    and is to be settled once more.

    Another request under a used transaction UID is added apart, as not the first.
    """
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{other} {transaction_uid}")
    before = await connection.fetchval(
        "select id from commitment where other = $1 and by_us = $2 and transaction_uid = $3 and first",
        other,
        by_us,
        transaction_uid,
    )
    if before is not None and sorted(await _instances(connection, before), key=_key) == sorted(instances, key=_key):
        await connection.execute("update commitment set settled_at = null where id = $1", before)
        return int(before)
    number: int = await connection.fetchval(
        """
        insert into commitment (transaction_uid, channel, facility, other, by_us, first, asked_at)
        values ($1, $2, $3, $4, $5, $6, $7) returning id
        """,
        transaction_uid,
        channel,
        facility,
        other,
        by_us,
        before is None,
        at,
    )
    await connection.executemany(
        "insert into commitment_instance (commitment, place, sop_uid, sop_class) values ($1, $2, $3, $4)",
        [(number, place, one.sop_uid, one.sop_class) for place, one in enumerate(instances)],
    )
    return number


async def unsettled(connection: Connection, channel: str) -> list[int]:
    """Requests to us without an outcome, the oldest first."""
    rows = await connection.fetch(
        "select id from commitment where channel = $1 and settled_at is null and not by_us order by id", channel
    )
    return [row["id"] for row in rows]


async def find(connection: Connection, number: int) -> Commitment:
    row = await connection.fetchrow(
        "select id, transaction_uid, channel, facility, other, first from commitment where id = $1", number
    )
    return Commitment(**row, instances=await _instances(connection, number))


async def asked_by_us(connection: Connection, transaction_uid: str) -> Commitment | None:
    """Our request. Its transaction UID is random, so only whom we asked can know it, whatever title it answers by."""
    number = await connection.fetchval(
        "select id from commitment where by_us and transaction_uid = $1", transaction_uid
    )
    return await find(connection, number) if number is not None else None


async def unentrusted(connection: Connection, endpoint: str, study_uid: str, facility: str) -> list[Named]:
    """The instances of a study that an endpoint has taken, those apart that it keeps or is being asked to keep."""
    rows = await connection.fetch(
        """
        select distinct i.sop_uid, i.sop_class from sent_instance s
        join instance i on i.sop_uid = s.sop_uid and i.facility = s.facility and i.sha256 = s.sha256
        where s.endpoint = $1 and s.study_uid = $2 and s.facility = $3 and s.taken
          and not exists (
            select from commitment_instance asked join commitment c on c.id = asked.commitment
            where asked.sop_uid = i.sop_uid and c.other = $1 and c.by_us and coalesce(asked.outcome, 0) = 0)
        order by i.sop_uid
        """,
        endpoint,
        study_uid,
        facility,
    )
    return [Named(row["sop_uid"], row["sop_class"]) for row in rows]


async def settle(connection: Connection, number: int, outcomes: Sequence[int | None], at: datetime) -> bool:
    """Writes the outcome of each instance, in their order; None leaves one as it is. False when it was settled.

    It is settled once every instance has its outcome.
    """
    open_still = await connection.fetchval("select settled_at is null from commitment where id = $1 for update", number)
    if not open_still:
        return False
    await connection.executemany(
        "update commitment_instance set outcome = $3 where commitment = $1 and place = $2",
        [(number, place, outcome) for place, outcome in enumerate(outcomes) if outcome is not None],
    )
    await connection.execute(
        """
        update commitment c set settled_at = $2
        where id = $1 and not exists (select from commitment_instance where commitment = c.id and outcome is null)
        """,
        number,
        at,
    )
    return True


async def outcomes(connection: Connection, number: int) -> list[tuple[Named, int | None]]:
    """Each instance with its outcome; None while nobody knows it."""
    rows = await connection.fetch(
        "select sop_uid, sop_class, outcome from commitment_instance where commitment = $1 order by place", number
    )
    return [(Named(row["sop_uid"], row["sop_class"]), row["outcome"]) for row in rows]


async def _instances(connection: Connection, number: int) -> tuple[Named, ...]:
    return tuple(named for named, _ in await outcomes(connection, number))


def _key(one: Named) -> tuple[str, str]:
    return one.sop_uid, one.sop_class
