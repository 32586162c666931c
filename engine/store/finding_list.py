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
    f.settled_at, f.settled_by, f.settlement, f.times, f.first_found_at
"""
"""What `of_row` needs of a finding `f`."""


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding and, once it is settled, when, by whom and how.

    times           in how many messages one doubt about one value of a patient was met; `envelope` is the last of them
    first_found_at  where that is more than one: the first time; `found_at` is the last
    """

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
    times: int = 1
    first_found_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which findings; None leaves a question open. `since` and `before` bound when they were found."""

    findings: Sequence[UUID] | None = None
    settled: bool | None = None
    code: str | None = None
    channel: str | None = None
    severity: str | None = None
    rule: str | None = None
    envelope: UUID | None = None
    about: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    @property
    def values(self) -> tuple[object, ...]:
        findings = list(self.findings) if self.findings is not None else None
        return (
            findings,
            self.settled,
            self.code,
            self.channel,
            self.severity,
            self.rule,
            self.envelope,
            self.about,
            self.since,
            self.before,
        )


_CHOSEN = """
    ($1::uuid[] is null or f.id = any($1))
    and ($2::boolean is null or (f.settled_at is not null) = $2)
    and ($3::text is null or f.code = $3)
    and ($4::text is null or f.channel = $4)
    and ($5::text is null or f.severity = $5)
    and ($6::text is null or f.rule = $6)
    and ($7::uuid is null or f.envelope = $7
         or exists (select from finding_earlier e where e.envelope = $7 and e.finding = f.id))
    and ($8::text is null or f.about = $8)
    and ($9::timestamptz is null or f.found_at >= $9)
    and ($10::timestamptz is null or f.found_at < $10)
"""
_HOLDS = "exists (select from inbox i where i.envelope = f.envelope and i.state = 'held' and f.severity = 'error')"


async def listed(
    connection: Connection, choice: Choice, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[FindingLine]:
    """Findings, the newest first; `after` is the last one of the page before."""
    at, finding = after if after else (None, None)
    rows = await connection.fetch(
        f"""
        select {COLUMNS} from finding f
        where {_CHOSEN} and ($11::timestamptz is null or (f.found_at, f.id) < ($11, $12::uuid))
        order by f.found_at desc, f.id desc limit $13
        """,
        *choice.values,
        at,
        finding,
        limit,
    )
    return [of_row(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Cause:
    """What several findings have in common: how many there are, and how often it was found in all.

    text  of the newest of them
    """

    severity: str
    code: str
    rule: str | None
    channel: str | None
    findings: int
    times: int
    text: str


async def causes(connection: Connection, choice: Choice, limit: int) -> list[Cause]:
    """What led to these findings: errors first, then warnings, each the most frequent first."""
    rows = await connection.fetch(
        f"""
        select f.severity, f.code, f.rule, f.channel, count(*) as findings, sum(f.times)::bigint as times,
               (array_agg(f.text order by f.found_at desc))[1] as text
        from finding f where {_CHOSEN}
        group by f.severity, f.code, f.rule, f.channel
        order by array_position(array['error', 'warning', 'information'], f.severity), times desc, f.code, f.rule,
                 f.channel
        limit $11
        """,
        *choice.values,
        limit,
    )
    return [Cause(**dict(row)) for row in rows]


async def count_settleable(connection: Connection, choice: Choice) -> tuple[int, int]:
    """How many open ones of these can be settled; and how many cannot, because each holds an envelope."""
    row = await connection.fetchrow(
        f"""
        select count(*) filter (where not {_HOLDS}) as free, count(*) filter (where {_HOLDS}) as holding
        from finding f where {_CHOSEN} and f.settled_at is null
        """,
        *choice.values,
    )
    return row["free"], row["holding"]


async def settle_many(connection: Connection, choice: Choice, by: str, settlement: str, at: datetime) -> int:
    """Settles what is open of these, except what holds an envelope. All or none, each with its audit. How many."""
    status = await connection.execute(
        f"""
        with chosen as (
            select f.id from finding f where {_CHOSEN} and f.settled_at is null and not {_HOLDS}
            order by f.id for update of f
        ), settled as (
            update finding f set settled_at = $11, settled_by = $12, settlement = $13
            from chosen c where f.id = c.id returning f.id, f.code, f.envelope, f.about
        )
        insert into audit (at, actor, action, subject, detail)
        select $11, $12, 'settle-finding', coalesce('Envelope/' || envelope, about, 'Finding/' || id),
               jsonb_build_object('finding', id, 'code', code) from settled
        """,
        *choice.values,
        at,
        by,
        settlement,
    )
    return int(status.rsplit(" ", 1)[1])


async def count_open(connection: Connection) -> dict[tuple[str, str], int]:
    """How many open findings there are of each severity and code."""
    rows = await connection.fetch(
        """
        select severity, code, count(*) as number from finding
        where settled_at is null group by severity, code order by code, severity
        """
    )
    return {(row["severity"], row["code"]): row["number"] for row in rows}


async def about(connection: Connection, envelopes: Sequence[UUID], things: Sequence[str]) -> list[FindingLine]:
    """What was found in these envelopes or about these resources and objects, in the order it was found."""
    if not envelopes and not things:
        return []
    earlier = COLUMNS.replace("f.envelope", "e.envelope")
    rows = await connection.fetch(
        f"""
        select {COLUMNS} from finding f where f.envelope = any($1) or f.about = any($2)
        union all
        select {earlier} from finding_earlier e join finding f on f.id = e.finding where e.envelope = any($1)
        order by found_at, id
        """,
        list(envelopes),
        list(things),
    )
    return [of_row(row) for row in rows]


async def settle(connection: Connection, finding: UUID, by: str, settlement: str, at: datetime) -> FindingLine:
    """Settles an open finding.

    Raises NotFoundError, or RequestStateError: `already-settled`, or `holds-an-envelope`, which would be held without a
    reason then.
    """
    if await connection.fetchval(
        f"select true from finding f where f.id = $1 and f.settled_at is null and {_HOLDS}", finding
    ):
        raise RequestStateError(
            "this finding holds an envelope: release, skip or correct that one", code="holds-an-envelope"
        )
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
