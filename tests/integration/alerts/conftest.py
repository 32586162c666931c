"""A hub's database that is looked at by the minute of a clock that the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from engine import config
from engine.alerts.watch import Watch
from engine.config import Community
from engine.config.alerts import Alerts
from engine.envelope import EnvelopeIds
from engine.errors import DeliveryError
from engine.store.incidents import Notice

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"
START = datetime(2026, 11, 20, 4, tzinfo=UTC)


class Told:
    """A receiver that remembers; `away` makes it refuse."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.away = False

    async def send(self, notice: Notice, at: datetime) -> None:
        if self.away:
            raise DeliveryError("away", code="away")
        self.notices.append(notice)

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(event["event"], event["kind"]) for notice in self.notices for event in notice.events]


class Scene:
    """One hub, its clock and what happened in it."""

    def __init__(self, pool: asyncpg.Pool, url: str, data: Path) -> None:
        self.pool = pool
        self.url = url
        self.data = data
        self.now = START
        self.told = Told()
        self.ids = EnvelopeIds(Random(11).getrandbits)
        self.alerts = Alerts(disk_free_min_percent=0)

    def watch(self) -> Watch:
        """A freshly started one, as after a restart."""
        community: Community = config.load(EXAMPLE).model_copy(update={"alerts": self.alerts})
        return Watch(self.url, community, {"told": self.told}, self.data, lambda: self.now, self.ids)

    def set(self, **alerts: Any) -> None:
        self.alerts = self.alerts.model_copy(update=alerts)

    async def look(self, watch: Watch, after: timedelta = timedelta(seconds=15)) -> None:
        """Time passes, the watch looks, and what is due is sent."""
        self.now += after
        async with self.pool.acquire() as connection:
            await watch.look(connection)
            while await watch.tell(connection, "told", self.told):
                continue

    async def held(self, number: int, code: str = "no-mapping", channel: str = "qingxi-his") -> list[UUID]:
        ids = [self.ids.next(self.now) for _ in range(number)]
        await self.pool.execute(
            "insert into inbox (envelope, place, lanes, state) select id, id, '{}', 'held' from unnest($1::uuid[]) id",
            ids,
        )
        await self.pool.execute(
            """
            insert into finding (id, code, severity, text, channel, envelope, found_at)
            select gen_random_uuid(), $1, 'error', 'No mapping takes this.', $2, id, $4 from unnest($3::uuid[]) id
            """,
            code,
            channel,
            ids,
            self.now,
        )
        return ids

    async def received(self, channel: str, at: datetime) -> UUID:
        number = self.ids.next(at)
        await self.pool.execute(
            """
            insert into journal
            values ($1, 'hl7v2', $2, 'qingxi', 'p', $3, 'ADT^A04', '1', '\\x00', '\\x0b', '\\x06')
            """,
            number,
            channel,
            at,
        )
        return number

    async def owed(self, endpoint: str, failed_at: Sequence[datetime] = (), state: str = "owed") -> UUID:
        number = self.ids.next(self.now)
        await self.pool.execute(
            """
            insert into delivery
                (id, endpoint, control_id, payload, next_attempt_at, created_at, route, state, last_error)
            values ($1, $2, 'C', 'MSH|', $3, $3, 'r', $4, 'connection-refused')
            """,
            number,
            endpoint,
            self.now,
            state,
        )
        await self.pool.executemany(
            "insert into delivery_attempt values ($1, $2, 'connection-refused', '')", [(number, at) for at in failed_at]
        )
        return number

    async def incidents(self) -> list[tuple[str, bool]]:
        rows = await self.pool.fetch("select cause, closed_at is null as open from incident order by opened_at, id")
        return [(row["cause"], row["open"]) for row in rows]


@pytest.fixture
async def scene(pool: asyncpg.Pool, database_url: str, tmp_path: Path) -> Scene:
    return Scene(pool, database_url, tmp_path)
