"""Which findings were raised? Writing them; reading and settling them is the console's."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from uuid import UUID, uuid4, uuid5

from engine.finding import Finding, Severity
from engine.store.audit import SYSTEM
from engine.store.database import Connection

_TOLD_ONCE = UUID("6f0f6c5e-3c35-4c0b-9a86-5d2f3c1f7a10")
"""What is told once has an id made of what it says, so that no two transactions can tell it twice."""

_INDEX = re.compile(r"\[\d+\]")

_COLUMNS = "id, code, severity, location, rule, text, channel, envelope, about, found_at"
_RAISE = f"""
insert into finding ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (id) do nothing
"""

# The messages of one patient run one after the other, so nobody else counts the same finding meanwhile.
_COUNT = f"""
with earlier as (
    insert into finding_earlier (envelope, finding)
    select f.envelope, f.id from finding f
    where f.same = $11 and f.settled_at is null and f.envelope is distinct from $8::uuid on conflict do nothing
)
insert into finding ({_COLUMNS}, same) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (same) where same is not null and settled_at is null do update
set times = finding.times + (finding.envelope is distinct from excluded.envelope)::int,
    first_found_at = coalesce(finding.first_found_at, finding.found_at),
    envelope = excluded.envelope, location = excluded.location, found_at = excluded.found_at
"""


@dataclass(frozen=True, slots=True)
class Raised:
    """A finding and what it is about: an envelope, or a resource or object (`ImagingStudy/…`).

    One that is told once is also about what it is told once of; the envelope is the first in which it was met.
    """

    finding: Finding
    envelope: UUID | None = None
    about: str | None = None
    channel: str | None = None
    patient: str = ""

    @property
    def same(self) -> UUID | None:
        """Equal for one doubt about one value of one patient; None for what is told every time, or once for all."""
        told = self.finding
        if told.once or not told.value or not self.patient or told.severity is Severity.ERROR:
            return None
        where = _INDEX.sub("", told.location or "")
        return uuid5(_TOLD_ONCE, f"{self.channel} {told.code} {told.rule} {where} {self.patient} {told.value}")

    @property
    def id(self) -> UUID:
        return _told_once(self.finding.code, self.about) if self.finding.once else uuid4()


def _told_once(code: str, about: str | None) -> UUID:
    return uuid5(_TOLD_ONCE, f"{code} {about}")


async def told_of(connection: Connection, code: str, abouts: Iterable[str]) -> set[str]:
    """Of what findings that are told once were told, settled or not."""
    numbers = {_told_once(code, about): about for about in abouts}
    rows = await connection.fetch("select id from finding where id = any($1)", list(numbers))
    return {numbers[row["id"]] for row in rows}


async def open_of(connection: Connection, code: str, beginning: str) -> int:
    """How many findings of a code are open about what begins so."""
    number: int = await connection.fetchval(
        "select count(*) from finding where code = $1 and settled_at is null and starts_with(about, $2)",
        code,
        beginning,
    )
    return number


async def is_first_to_tell(connection: Connection, code: str, about: str) -> bool:
    """Whether no finding of a code is open about this, and no other transaction that is under way asked the same."""
    alone = await connection.fetchval("select pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"{code} {about}")
    return alone and not await open_of(connection, code, about)


async def settle(connection: Connection, code: str, about: str, settlement: str, at: datetime) -> None:
    """Settles, in the caller's transaction, what was open and has come right by itself."""
    await connection.execute(
        """
        update finding set settled_at = $4, settled_by = $5, settlement = $3
        where about = $2 and code = $1 and settled_at is null
        """,
        code,
        about,
        settlement,
        at,
        SYSTEM,
    )


async def raise_many(connection: Connection, raised: Sequence[Raised], at: datetime) -> None:
    """Adds findings in the caller's transaction. One that is told once and was told before, settled or not, is left."""
    if not raised:
        return
    await connection.executemany(_RAISE, _rows([r for r in raised if r.same is None], at))
    counted = sorted((r for r in raised if r.same is not None), key=lambda r: str(r.same))
    await connection.executemany(_COUNT, [(*row, r.same) for r in counted for row in _rows([r], at)])


def _rows(raised: Sequence[Raised], at: datetime) -> list[tuple[object, ...]]:
    return [
        (
            number,
            r.finding.code,
            str(r.finding.severity),
            r.finding.location,
            r.finding.rule,
            r.finding.text,
            r.channel,
            r.envelope,
            r.about,
            at,
        )
        for number, r in sorted(((r.id, r) for r in raised), key=itemgetter(0))  # all workers in one order
    ]


async def not_told_before(connection: Connection, raised: Sequence[Raised], again: Collection[UUID]) -> list[Raised]:
    """Without what was found before in the envelopes of `again`, which are processed once more.

    What a person settled stays settled; an error that holds is told again, because somebody has to act on it.
    """
    if not again:
        return list(raised)
    rows = await connection.fetch(
        """
        select met.envelope, f.code, f.location, f.rule, f.about, f.same
        from (
            select id, envelope from finding where envelope = any($1)
            union all
            select finding, envelope from finding_earlier where envelope = any($1)
        ) met join finding f on f.id = met.id
        where f.settled_at is null or f.severity <> 'error'
        """,
        sorted(again),
    )
    told = {tuple(row)[:5] for row in rows} | {(row["envelope"], row["same"]) for row in rows if row["same"]}
    return [
        r
        for r in raised
        if (r.envelope, r.finding.code, r.finding.location, r.finding.rule, r.about) not in told
        and (r.envelope, r.same) not in told
    ]


async def settle_gone(
    connection: Connection, envelope: UUID, still: Sequence[Finding], by: str, settlement: str, at: datetime
) -> None:
    """Settles what was found in an envelope itself and is found no more now that it was processed again."""
    await connection.execute(
        """
        update finding f set settled_at = $5, settled_by = $6, settlement = $7
        where f.envelope = $1 and f.about is null and f.settled_at is null and not exists (
            select from unnest($2::text[], $3::text[], $4::text[]) s(code, location, rule)
            where f.code = s.code and f.location is not distinct from s.location and f.rule is not distinct from s.rule)
        """,
        envelope,
        [finding.code for finding in still],
        [finding.location for finding in still],
        [finding.rule for finding in still],
        at,
        by,
        settlement,
    )


async def raise_settled(connection: Connection, raised: Raised, by: str, settlement: str, at: datetime) -> None:
    """Adds a finding that a person settled already, in the caller's transaction."""
    await raise_many(connection, [raised], at)
    await connection.execute(
        "update finding set settled_at = $2, settled_by = $3, settlement = $4 where id = $1 and settled_at is null",
        raised.id,
        at,
        by,
        settlement,
    )


async def settled_by_persons(connection: Connection, findings: Collection[UUID]) -> set[UUID]:
    """Which of these findings a person settled."""
    rows = await connection.fetch(
        "select id from finding where id = any($1) and settled_at is not null and settled_by <> $2",
        list(findings),
        SYSTEM,
    )
    return {row["id"] for row in rows}


async def envelopes_with(connection: Connection, envelopes: Collection[UUID], code: str) -> set[UUID]:
    """In which of these envelopes a finding of this code was made, settled or not."""
    if not envelopes:
        return set()
    rows = await connection.fetch(
        "select distinct envelope from finding where envelope = any($1) and code = $2", list(envelopes), code
    )
    return {row["envelope"] for row in rows}


async def about(connection: Connection, envelope: UUID, codes: Collection[str]) -> list[str]:
    """What open findings of these codes, raised for an envelope, are about."""
    rows = await connection.fetch(
        """
        select distinct about from finding
        where envelope = $1 and code = any($2) and about is not null and settled_at is null
        """,
        envelope,
        list(codes),
    )
    return [row["about"] for row in rows]
