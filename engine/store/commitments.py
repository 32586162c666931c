"""Which instances were asked to be kept for good, and are they? Storage commitment, asked of us and by us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

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


@dataclass(frozen=True, slots=True)
class Taken:
    """A request as one process took it, to settle it. Whoever takes it after that settles it instead."""

    id: int
    times: int


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A request to us without an outcome, and which of the channel's processes took it; None where nothing says so."""

    taken: Taken
    process: int | None


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
    process: int | None = None,
) -> Taken:
    """Adds a request in the caller's transaction. The same one that comes again is to be settled once more.

    Another request under a used transaction UID is added apart, as not the first. `process` is the one of the channel
    that takes it.
    """
    await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{other} {transaction_uid}")
    before = await connection.fetchval(
        "select id from commitment where other = $1 and by_us = $2 and transaction_uid = $3 and first",
        other,
        by_us,
        transaction_uid,
    )
    if before is not None and sorted(await _instances(connection, before), key=_key) == sorted(instances, key=_key):
        times = await connection.fetchval(
            """
            update commitment set settled_at = null, taken_by = $2, times_taken = times_taken + 1
            where id = $1 returning times_taken
            """,
            before,
            process,
        )
        return Taken(before, times)
    taken = await connection.fetchrow(
        """
        insert into commitment (transaction_uid, channel, facility, other, by_us, first, asked_at, taken_by)
        values ($1, $2, $3, $4, $5, $6, $7, $8) returning id, times_taken as times
        """,
        transaction_uid,
        channel,
        facility,
        other,
        by_us,
        before is None,
        at,
        process,
    )
    await connection.executemany(
        "insert into commitment_instance (commitment, place, sop_uid, sop_class) values ($1, $2, $3, $4)",
        [(taken["id"], place, one.sop_uid, one.sop_class) for place, one in enumerate(instances)],
    )
    return Taken(**taken)


async def unsettled(connection: Connection, channel: str) -> list[Unsettled]:
    """The oldest first."""
    rows = await connection.fetch(
        """
        select id, times_taken, taken_by from commitment
        where channel = $1 and settled_at is null and not by_us order by id
        """,
        channel,
    )
    return [Unsettled(Taken(row["id"], row["times_taken"]), row["taken_by"]) for row in rows]


async def take_over(connection: Connection, left: Sequence[Taken], process: int) -> list[Taken]:
    """Has a process settle requests, those apart that somebody has taken since, or settled; the oldest first."""
    rows = await connection.fetch(
        """
        with still as (
            select c.id from commitment c
            join unnest($1::bigint[], $2::int[]) as left_as (id, times) on c.id = left_as.id
            where c.times_taken = left_as.times and c.settled_at is null order by c.id for update of c
        )
        update commitment c set taken_by = $3, times_taken = times_taken + 1
        from still where c.id = still.id returning c.id, c.times_taken as times
        """,
        [one.id for one in left],
        [one.times for one in left],
        process,
    )
    return sorted((Taken(**row) for row in rows), key=attrgetter("id"))


async def waits(connection: Connection, taken: Taken, *, lock: bool = False) -> bool:
    """Whether a request is to be settled still by whoever took it so.

    lock  nobody takes or settles it before the caller's transaction ends
    """
    found = await connection.fetchval(
        "select id from commitment where id = $1 and times_taken = $2 and settled_at is null"
        + (" for update" if lock else ""),
        taken.id,
        taken.times,
    )
    return found is not None


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
