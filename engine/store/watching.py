"""How does the hub stand? What the one that watches looks at, each look bounded: it must not cost what it watches over.

Nothing here names a patient: channels, endpoints, codes of findings, numbers and times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from engine.envelope import arrived_at, first_id_at
from engine.store.database import Connection

COUNTED_TO = 20_000
"""More than this is as bad, and is not counted: a flood must not make each look slower."""

_LEADER_LOCK = 0x6875746F6E69


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came in on a channel between two moments."""

    channel: str
    messages: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """A channel's last message, or when watching began where none ever came; and its longest gap of each day before."""

    channel: str
    last_at: datetime
    longest_gaps: Mapping[date, float]


@dataclass(frozen=True, slots=True)
class BacklogSeen:
    """How many messages are not processed yet, and when the oldest of them came that waits for nothing."""

    waiting: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class EndpointSeen:
    """The oldest delivery owed to an endpoint; `failing_since` is its first attempt that failed."""

    endpoint: str
    owed: int
    oldest_at: datetime
    failing_since: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True)
class TroubleSeen:
    """Things of one kind that wait for a person. `subject` is a channel or an endpoint."""

    subject: str
    code: str
    amount: int
    oldest_at: datetime


async def lead(connection: Connection) -> bool:
    """Becomes the one that watches, for as long as the connection lives; False while another one is."""
    leading: bool = await connection.fetchval("select pg_try_advisory_lock($1)", _LEADER_LOCK)
    return leading


# ── Arrivals, counted after the fact ─────────────────────────────────────────────────────────────────────────────────


async def counted_to(connection: Connection) -> datetime | None:
    """Up to when arrivals are counted; None when they never were."""
    to: datetime | None = await connection.fetchval("select counted_to from watch_progress")
    return to


async def first_arrival(connection: Connection, since: datetime, until: datetime) -> datetime | None:
    """When the first envelope between two moments came; None where none did."""
    first = await connection.fetchval(
        "select id from journal where id >= $1 and id < $2 order by id limit 1", first_id_at(since), first_id_at(until)
    )
    return arrived_at(first) if first is not None else None


async def arrivals(connection: Connection, since: datetime, until: datetime) -> list[Arrivals]:
    rows = await connection.fetch(
        """
        select channel, count(*) as messages, min(received_at) as first_at, max(received_at) as last_at
        from journal where id >= $1 and id < $2 group by channel order by channel
        """,
        first_id_at(since),
        first_id_at(until),
    )
    return [Arrivals(**dict(row)) for row in rows]


async def last_times(connection: Connection) -> dict[str, datetime]:
    """Of the last message of each channel, or when watching began where none came since."""
    rows = await connection.fetch("select channel, coalesce(last_at, watched_since) as at from channel_watch")
    return {row["channel"]: row["at"] for row in rows}


async def begin(connection: Connection, channels: Sequence[str], at: datetime) -> None:
    """Channels that are watched from now on."""
    await connection.execute(
        "insert into channel_watch (channel, watched_since) select unnest($1::text[]), $2 on conflict do nothing",
        list(channels),
        at,
    )


async def count(
    connection: Connection, came: Sequence[Arrivals], gaps: Mapping[str, float], days: Mapping[str, date], to: datetime
) -> None:
    """Keeps what came until `to`: messages of the day, and the gap of working time that the first of them ended."""
    await connection.executemany(
        """
        insert into channel_day (channel, day, messages, longest_gap_secs) values ($1, $2, $3, $4)
        on conflict (channel, day) do update
        set messages = channel_day.messages + excluded.messages,
            longest_gap_secs = greatest(channel_day.longest_gap_secs, excluded.longest_gap_secs)
        """,
        [(each.channel, days[each.channel], each.messages, gaps[each.channel]) for each in came],
    )
    await connection.executemany(
        """
        insert into channel_watch (channel, watched_since, last_at) values ($1, $2, $2)
        on conflict (channel) do update set last_at = greatest(channel_watch.last_at, excluded.last_at)
        """,
        [(each.channel, each.last_at) for each in came],
    )
    await connection.execute(
        """
        insert into watch_progress (counted_to) values ($1)
        on conflict (only_row) do update set counted_to = excluded.counted_to
        """,
        to,
    )


async def channels_seen(connection: Connection, since: date, before: date) -> list[ChannelSeen]:
    rows = await connection.fetch(
        """
        select w.channel, coalesce(w.last_at, w.watched_since) as last_at,
               array_remove(array_agg(d.day order by d.day), null) as days,
               array_remove(array_agg(d.longest_gap_secs order by d.day), null) as gaps
        from channel_watch w left join channel_day d on d.channel = w.channel and d.day >= $1 and d.day < $2
        group by w.channel order by w.channel
        """,
        since,
        before,
    )
    return [
        ChannelSeen(row["channel"], row["last_at"], dict(zip(row["days"], row["gaps"], strict=True))) for row in rows
    ]


# ── What stands still ────────────────────────────────────────────────────────────────────────────────────────────────


async def backlog_seen(connection: Connection, at: datetime) -> BacklogSeen:
    """What is to be tried again later is no backlog until then."""
    row = await connection.fetchrow(
        """
        select (select count(*) from (select from inbox where state = 'accepted' limit $1) unfinished) as waiting,
               (select i.envelope from inbox i
                where i.state = 'accepted' and (i.next_attempt_at is null or i.next_attempt_at <= $2)
                  and (select true from lane earlier
                       where earlier.key = any(i.lanes) and earlier.place < i.place limit 1) is null
                order by i.envelope limit 1) as oldest
        """,
        COUNTED_TO,
        at,
    )
    return BacklogSeen(row["waiting"], arrived_at(row["oldest"]) if row["oldest"] is not None else None)


async def endpoints_seen(connection: Connection, endpoints: Sequence[str]) -> list[EndpointSeen]:
    """Those that are owed something. A study that nobody has tried yet waits for its window, or for urgent ones."""
    rows = await connection.fetch(
        """
        select e.name as endpoint, oldest.created_at as oldest_at, coalesce(oldest.last_error, '') as last_error,
               (select min(a.at) from delivery_attempt a where a.delivery = oldest.id) as failing_since,
               (select count(*) from (
                    select from delivery d where d.endpoint = e.name and d.state = 'owed' limit $2
                ) unfinished) as owed
        from unnest($1::text[]) e(name) cross join lateral (
            select id, created_at, last_error from delivery d
            where d.endpoint = e.name and d.state = 'owed' and (d.priority is null or d.attempts > 0)
            order by d.id limit 1
        ) oldest order by 1
        """,
        list(endpoints),
        COUNTED_TO,
    )
    return [EndpointSeen(**dict(row)) for row in rows]


async def held_seen(connection: Connection) -> list[TroubleSeen]:
    """Held envelopes by channel and by what holds them; the newest, where they are a flood."""
    rows = await connection.fetch(
        """
        select coalesce(why.channel, '') as subject, coalesce(why.code, '') as code, count(*) as amount,
               min(held.envelope::text)::uuid as oldest
        from (select envelope from inbox where state = 'held' order by envelope desc limit $1) held
        left join lateral (
            select channel, code from finding f where f.envelope = held.envelope and f.severity = 'error'
            order by f.settled_at is not null, f.found_at desc, f.code limit 1
        ) why on true
        group by 1, 2 order by 1, 2
        """,
        COUNTED_TO,
    )
    return [TroubleSeen(r["subject"], r["code"], r["amount"], arrived_at(r["oldest"])) for r in rows]


async def refused_seen(connection: Connection) -> list[TroubleSeen]:
    """Dead letters: deliveries that the other side refused for good, by endpoint."""
    rows = await connection.fetch(
        """
        select endpoint as subject, '' as code, count(*) as amount, min(created_at) as oldest_at
        from (select endpoint, created_at from delivery where state = 'refused' limit $1) refused
        group by endpoint order by endpoint
        """,
        COUNTED_TO,
    )
    return [TroubleSeen(**dict(row)) for row in rows]


async def errors_seen(connection: Connection, told_elsewhere: Sequence[str]) -> list[TroubleSeen]:
    """Open findings that are errors and hold no envelope, by channel and code; without those told elsewhere."""
    rows = await connection.fetch(
        """
        select coalesce(channel, '') as subject, code, count(*) as amount, min(found_at) as oldest_at
        from (
            select f.channel, f.code, f.found_at from finding f
            where f.settled_at is null and f.severity = 'error' and f.code <> all($2::text[])
              and not exists (select from inbox i where i.envelope = f.envelope)
            limit $1
        ) open
        group by 1, 2 order by 1, 2
        """,
        COUNTED_TO,
        list(told_elsewhere),
    )
    return [TroubleSeen(**dict(row)) for row in rows]
