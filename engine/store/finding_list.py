"""Which findings wait for a person, and how is one settled?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.errors import NotFoundError, RequestStateError
from engine.store.database import Connection

COLUMNS = """
    f.id, f.code, f.severity, f.text, f.location, f.rule, f.channel, f.envelope, f.about, f.found_at,
    f.settled_at, f.settled_by, f.settlement
"""
"""What `of_row` needs of a finding `f`."""


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding and, once it is settled, when, by whom and how."""

    id: UUID
    code: str
    severity: str
    text: str
    location: str | None
    rule: str | None
    channel: str | None
    envelope: UUID | None
    about: str | None
    found_at: datetime
    settled_at: datetime | None
    settled_by: str | None
    settlement: str | None


async def listed(
    connection: Connection, *, settled: bool, code: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[FindingLine]:
    """Open or settled findings, the newest first; `before` is the last one of the page before."""
    at, finding = before if before else (None, None)
    rows = await connection.fetch(
        f"""
        select {COLUMNS} from finding f
        where (f.settled_at is {"not null" if settled else "null"})
          and ($1::text is null or f.code = $1)
          and ($2::timestamptz is null or (f.found_at, f.id) < ($2, $3::uuid))
        order by f.found_at desc, f.id desc limit $4
        """,
        code,
        at,
        finding,
        limit,
    )
    return [of_row(row) for row in rows]


async def count_open(connection: Connection) -> dict[str, int]:
    """How many open findings there are of each code."""
    rows = await connection.fetch(
        "select code, count(*) as number from finding where settled_at is null group by code order by code"
    )
    return {row["code"]: row["number"] for row in rows}


async def about(connection: Connection, envelopes: Sequence[UUID], things: Sequence[str]) -> list[FindingLine]:
    """What was found in these envelopes or about these resources and objects, in the order it was found."""
    rows = await connection.fetch(
        f"select {COLUMNS} from finding f where f.envelope = any($1) or f.about = any($2) order by f.found_at, f.id",
        list(envelopes),
        list(things),
    )
    return [of_row(row) for row in rows]


async def settle(connection: Connection, finding: UUID, by: str, settlement: str, at: datetime) -> FindingLine:
    """Settles an open finding. Raises NotFoundError, or RequestStateError `already-settled`."""
    row = await connection.fetchrow(
        f"""
        update finding f set settled_at = $2, settled_by = $3, settlement = $4
        where f.id = $1 and f.settled_at is null returning {COLUMNS}
        """,
        finding,
        at,
        by,
        settlement,
    )
    if row is None:
        if await connection.fetchval("select true from finding where id = $1", finding):
            raise RequestStateError("somebody settled this finding before", code="already-settled")
        raise NotFoundError("there is no such finding")
    return of_row(row)


def of_row(row: Any) -> FindingLine:
    return FindingLine(**dict(row))
