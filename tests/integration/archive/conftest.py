"""A running hub with months of journal in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from engine.cli.main import main
from engine.clock import now
from engine.envelope import EnvelopeIds
from engine.store.partitions import PARTED, Month, make_part
from tests.integration.faults.community import community
from tests.integration.faults.serving import Served, serving

THIS = Month.of(now())
OLD = THIS.plus(-5)
"""The month that the tests prune."""
NEXT = OLD.plus(1)


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def said(arguments: Sequence[str]) -> Said:
    """Runs a command in this process: the start of another one would take longer than all that it does."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
            code: Any = 0
        except SystemExit as ended:
            code = ended.code or 0
    return Said(code, out.getvalue(), err.getvalue())


@dataclass
class Archive:
    """A hub, its database, and rows as the walk leaves them."""

    hub: Served
    database: asyncpg.Connection
    ids: EnvelopeIds

    def moment(self, month: Month, day: int = 3) -> datetime:
        return datetime(month.year, month.number, day, 5, tzinfo=UTC)

    async def part(self, month: Month) -> None:
        """As a hub that ran in that month would have made it."""
        for parted in PARTED:
            await make_part(self.database, parted, month)

    async def envelope(self, month: Month, payload: bytes, state: str = "processed") -> UUID:
        (number,) = await self.envelopes(month, [payload], state)
        return number

    async def envelopes(self, month: Month, payloads: Sequence[bytes], state: str = "processed") -> list[UUID]:
        at = self.moment(month)
        numbers = [self.ids.next(at) for _ in payloads]
        await self.database.executemany(
            "insert into journal values ($1, 'hl7v2', 'his', 'baishi', 'p', $2, 'ADT^A04', 'C1', $3, $4, '\\x06')",
            [(n, at, sha256(payload).digest(), payload) for n, payload in zip(numbers, payloads, strict=True)],
        )
        await self.database.executemany(
            "insert into repeat_guard values ($1, $2, $3)", [(n.bytes, b"c", n) for n in numbers]
        )
        if state == "processed":
            await self.database.executemany(
                "insert into outcome (envelope, state, finished_at, resources, reply) "
                "values ($1, 'processed', $2, '[\"Patient/p@1\"]', '\\x4d53')",
                [(n, at) for n in numbers],
            )
            await self.database.executemany("insert into past_lane values ('baishi|M1', $1)", [(n,) for n in numbers])
        else:
            await self.database.executemany(
                "insert into inbox (envelope, place, lanes, state) values ($1, $1, '{baishi|M1}', $2)",
                [(n, state) for n in numbers],
            )
        return numbers

    async def finding(
        self, month: Month, *, envelope: UUID | None = None, about: str | None = None, severity: str = "warning",
        settled: bool = True,
    ) -> None:  # fmt: skip
        at = self.moment(month)
        await self.database.execute(
            """
            insert into finding (id, code, severity, text, envelope, about, found_at, settled_at, settled_by)
            values (gen_random_uuid(), 'x', $1, 'A rule could not be applied.', $2, $3, $4, $5, 'wang')
            """,
            severity,
            envelope,
            about,
            at,
            at if settled else None,
        )

    async def delivery(self, month: Month, envelope: UUID | None, state: str = "delivered") -> UUID:
        at = self.moment(month)
        number = self.ids.next(at)
        await self.database.execute(
            """
            insert into delivery
                (id, endpoint, control_id, payload, state, next_attempt_at, created_at, envelope, about, route, receipt)
            values ($1, 'lis', 'O1', 'MSH|out', $2, $3, $3, $4, $5, 'r', '\\x4d5341')
            """,
            number,
            state,
            at,
            envelope,
            None if envelope else "Task/1",
        )
        for minute in range(2):
            await self.database.execute(
                "insert into delivery_attempt values ($1, $2, 'delivered', '')", number, at + timedelta(minutes=minute)
            )
        return number

    async def month(self, month: Month, envelopes: int = 1203) -> list[UUID]:
        """A month's worth: more than a page, with findings, deliveries and a report."""
        numbers = await self.envelopes(month, [f"MSH|{n}|张三\r".encode("gb18030") for n in range(envelopes)])
        await self.finding(month, envelope=numbers[0])
        refused = await self.delivery(month, numbers[1])
        await self.finding(month, about=f"Delivery/{refused}", severity="error")
        report = await self.delivery(month, None)
        await self.finding(month, about=f"Delivery/{report}", severity="error")
        await self.finding(month, envelope=numbers[2], severity="information", settled=False)
        return numbers

    async def rows(self) -> dict[str, int]:
        tables = ("journal", "outcome", "past_lane", "repeat_guard", "delivery", "delivery_attempt", "finding")
        return {table: await self.database.fetchval(f"select count(*) from {table}") for table in tables}

    async def command(self, *arguments: str) -> Said:
        """What `hutong` says to these words."""
        return await asyncio.to_thread(said, [*arguments, "--data", str(self.hub.data)])

    async def prune(self, folder: Path, *more: str, before: Month = NEXT) -> Said:
        return await self.command("prune", "--before", str(before), "--export", str(folder), *more)

    @property
    def client(self) -> httpx.AsyncClient:
        run = json.loads((self.hub.data / "run.json").read_text())
        token = (self.hub.data / "admin.token").read_text().strip()
        return httpx.AsyncClient(
            base_url=run["http"], headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60
        )


@pytest.fixture(scope="module")
def hub() -> Iterator[Served]:
    with serving(community(), only="web") as served:
        asyncio.run(served.start())
        yield served


@pytest.fixture
async def archive(hub: Served) -> AsyncIterator[Archive]:
    async with hub.database() as database:
        yield Archive(hub, database, EnvelopeIds(Random(3).getrandbits))
        for month in (OLD, OLD.plus(1), OLD.plus(2)):
            for parted in PARTED:
                await database.execute(f"drop table if exists {month.part(parted.table)}")
        await database.execute(
            "truncate journal, outcome, past_lane, repeat_guard, delivery, delivery_attempt, finding, inbox, lane, "
            "audit"
        )


def lines_of(path: Path) -> list[dict[str, Any]]:
    import gzip

    with gzip.open(path / "journal.ndjson.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
