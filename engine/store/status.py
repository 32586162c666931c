"""How do channels and endpoints stand? What one screen shows; each row is found by an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from engine.store.database import Connection
from engine.store.watching import COUNTED_TO


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """Messages by days of China, counted some seconds behind the present; `last_at` is None before the first one."""

    channel: str
    last_at: datetime | None
    today: int
    yesterday: int
    seven_days: int


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """`refused`: dead letters. `oldest_at` and `last_error`: of the oldest that is owed."""

    endpoint: str
    owed: int
    refused: int
    oldest_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class InboxStatus:
    """Messages that are not processed yet, and when the oldest of them came; each counted up to COUNTED_TO."""

    accepted: int
    held: int
    oldest_at: datetime | None


async def channels(connection: Connection, names: Sequence[str], today: date) -> list[ChannelStatus]:
    """Those that were ever counted."""
    rows = await connection.fetch(
        """
        select w.channel, w.last_at, coalesce(sum(d.messages) filter (where d.day = $2), 0)::bigint as today,
               coalesce(sum(d.messages) filter (where d.day = $2::date - 1), 0)::bigint as yesterday,
               coalesce(sum(d.messages), 0)::bigint as seven_days
        from channel_watch w left join channel_day d on d.channel = w.channel and d.day > $2::date - 7
        where w.channel = any($1) group by w.channel, w.last_at order by w.channel
        """,
        list(names),
        today,
    )
    return [ChannelStatus(**dict(row)) for row in rows]


async def endpoints(connection: Connection, names: Sequence[str]) -> list[EndpointStatus]:
    rows = await connection.fetch(
        """
        select e.name as endpoint, oldest.created_at as oldest_at, oldest.last_error,
               (select count(*) from (select from delivery d where d.endpoint = e.name and d.state = 'owed'
                                      limit $2) o) as owed,
               (select count(*) from (select from delivery d where d.endpoint = e.name and d.state = 'refused'
                                      limit $2) r) as refused
        from unnest($1::text[]) e(name) left join lateral (
            select created_at, last_error from delivery d
            where d.endpoint = e.name and d.state = 'owed' order by d.id limit 1
        ) oldest on true order by e.name
        """,
        list(names),
        COUNTED_TO,
    )
    return [EndpointStatus(**dict(row)) for row in rows]


async def inbox(connection: Connection) -> InboxStatus:
    row = await connection.fetchrow(
        """
        select (select count(*) from (select from inbox where state = 'accepted' limit $1) a) as accepted,
               (select count(*) from (select from inbox where state = 'held' limit $1) h) as held,
               (select j.received_at from journal j
                where j.id = (select envelope from inbox order by envelope limit 1)) as oldest_at
        """,
        COUNTED_TO,
    )
    return InboxStatus(**dict(row))
