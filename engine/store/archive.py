"""How does a month leave the database? Looked at, handed out for an export, and dropped as the export holds it.

To a month belong the envelopes whose ids lie in it, with their outcome, lanes, repeat keys, findings and deliveries;
and the deliveries made in it that no envelope caused (a signed report), with the findings about them. The record
itself, and who read or changed it (audit), stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from engine.errors import RequestStateError, StorageError
from engine.store import audit
from engine.store.database import Connection
from engine.store.partitions import BEFORE, LOCK, PARTED, Month, parts

NAMED = 5
"""How many of each kind of obstacle are named."""
_LOCK_TIMEOUT = "1s"
"""Whoever waits for the journal's lock makes everybody behind it wait, acknowledgments too."""
_LOCK_TRIES = 20
_LOCK_PAUSE_SECS = 0.5
PAGE_ENVELOPES = 500
PAGE_BYTES = 8 * 1024 * 1024
"""Of payloads; one that is larger comes alone."""
_NO_ID = UUID(int=0)

_DELIVERIES = (
    "select * from delivery where (envelope >= $1 and envelope < $2) or (envelope is null and id >= $1 and id < $2)"
)
_FINDINGS = f"""
    select * from finding where envelope >= $1 and envelope < $2
    union all
    select f.* from ({_DELIVERIES}) d join finding f on f.about = 'Delivery/' || d.id and f.envelope is null
"""
_KEYS = {
    "outcome_earlier": (
        "envelope",
        "select envelope as id from outcome_earlier where envelope >= $1 and envelope < $2",
    ),
    "delivery_attempt": ("delivery", _DELIVERIES),
    "finding": ("id", _FINDINGS),
    "delivery": ("id", _DELIVERIES),
}
"""Rows that belong to a month and stand in no part of it: the column by which they are found, and where its values
are. In the order in which they are deleted."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a month from being pruned: unfinished, owed or open-finding; how many, and the first few by id."""

    kind: str
    number: int
    first: list[str]


@dataclass(frozen=True, slots=True)
class Print:
    """What belongs to a month, so that an export can be compared with what is dropped: rows, and a sum over them."""

    rows: dict[str, int]
    sums: dict[str, int]


def newest_prunable(now: datetime) -> Month:
    """The last month but one: an envelope accepted at the end of last month may be committed in this one."""
    return Month.of(now).plus(-BEFORE - 1)


async def months(connection: Connection) -> list[Month]:
    """The months that hold envelopes, the oldest first; those in the default part are found by its first ids."""
    found = set()
    for name in await parts(connection):
        year, _, number = name.removeprefix("journal_").partition("_")
        if name.startswith("journal_") and year.isdigit():
            month = Month(int(year), int(number))
            if await connection.fetchval(f"select exists (select from {name})"):
                found.add(month)
    after = _NO_ID
    while (
        identifier := await connection.fetchval(
            "select min(id::text)::uuid from (select id from journal_default where id >= $1 order by id limit 1) next",
            after,
        )
    ) is not None:
        month = Month.of(datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC))
        found.add(month)
        after = month.plus(1).first_id
    return sorted(found)


async def obstacles(connection: Connection, month: Month) -> list[Obstacle]:
    """Empty when the month may be pruned. Findings that are only information need nobody."""
    bounds = month.first_id, month.plus(1).first_id
    queries = {
        "unfinished": "select envelope::text as id from inbox where (envelope >= $1 and envelope < $2) "
        "or (place >= $1 and place < $2)",
        "owed": f"select id::text from ({_DELIVERIES}) d where state = 'owed'",
        "open-finding": f"select coalesce(envelope::text, about, id::text) as id from ({_FINDINGS}) f "
        "where settled_at is null and severity <> 'information'",
    }
    found = []
    for kind, query in queries.items():
        number = await connection.fetchval(f"select count(*) from ({query}) x", *bounds)
        if number:
            rows = await connection.fetch(f"{query} order by 1 limit {NAMED}", *bounds)
            found.append(Obstacle(kind, number, [row["id"] for row in rows]))
    return found


async def fingerprint(connection: Connection, month: Month) -> Print:
    """What belongs to the month now. Envelopes never change: they are counted; the rest is summed up, row by row."""
    bounds = month.first_id, month.plus(1).first_id
    rows, sums = await _parts_print(connection, month)
    for table, (key, owners) in _KEYS.items():
        own = f"select * from {table} where {key} in (select id from ({owners}) owner)"
        row = await connection.fetchrow(_summed(own), *bounds)
        rows[table], sums[table] = row["rows"], row["sum"]
    return Print(rows, sums)


async def envelopes(connection: Connection, month: Month, after: UUID | None) -> list[str]:
    """The next lines of an export: JSON, one envelope each with everything that belongs to it."""
    ids = await connection.fetch(
        """
        select id from (
            select id, sum(length(payload)) over (order by id) - length(payload) as before
            from (select id, payload from journal where id > $1 and id < $2 order by id limit $3) next
        ) page where before < $4 order by id
        """,
        after or UUID(int=month.first_id.int - 1),
        month.plus(1).first_id,
        PAGE_ENVELOPES,
        PAGE_BYTES,
    )
    if not ids:
        return []
    rows = await connection.fetch(
        f"""
        with repeats as materialized (
            select envelope, encode(control_key, 'hex') as control_key, encode(content_key, 'hex') as content_key
            from repeat_guard where envelope >= $2 and envelope <= $3
        )
        select (to_jsonb(j) - '{{payload,acknowledgment,sha256}}'::text[] || jsonb_build_object(
            'line', 'envelope', 'sha256', encode(j.sha256, 'hex'), 'payload', {_base64("j.payload")},
            'acknowledgment', {_base64("j.acknowledgment")},
            'outcome', (select to_jsonb(o) - 'envelope' - 'reply' || jsonb_build_object('reply', {_base64("o.reply")})
                        from outcome o where o.envelope = j.id),
            'outcome_earlier', (select coalesce(jsonb_agg(to_jsonb(e) - 'envelope' order by e.ended_at), '[]')
                                from outcome_earlier e where e.envelope = j.id),
            'repeat', (select to_jsonb(r) - 'envelope' from repeats r where r.envelope = j.id limit 1),
            'replacement', (select to_jsonb(r) - 'envelope' from replacement r where r.envelope = j.id),
            'findings', {_findings("f.envelope = j.id")},
            'deliveries', (select coalesce(jsonb_agg({_delivery("d")} order by d.id), '[]')
                           from delivery d where d.envelope = j.id)
        ))::text as line
        from journal j where j.id = any($1::uuid[]) order by j.id
        """,
        [row["id"] for row in ids],
        ids[0]["id"],
        ids[-1]["id"],
    )
    return [row["line"] for row in rows]


async def reports(connection: Connection, month: Month, after: UUID | None) -> list[str]:
    """The next lines of an export that are deliveries no envelope caused."""
    rows = await connection.fetch(
        f"""
        select ({_delivery("d")} || jsonb_build_object('line', 'delivery'))::text as line
        from delivery d where d.envelope is null and d.id > $1 and d.id < $2 order by d.id limit $3
        """,
        after or UUID(int=month.first_id.int - 1),
        month.plus(1).first_id,
        PAGE_ENVELOPES // 10,
    )
    return [row["line"] for row in rows]


async def drop(connection: Connection, month: Month, exported: Print, act: audit.Audited, at: datetime) -> None:
    """Takes the month out of the database, in one transaction, if it is still what was exported.

    Raises RequestStateError when it is not, or when something in it is not done with; StorageError when the journal
    was too busy to be taken a part from. Either way everything is as it was.
    """
    bounds = month.first_id, month.plus(1).first_id
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK)
        _refuse(await obstacles(connection, month))
        there = await parts(connection)
        for parted in PARTED:
            # Nobody writes into an old part any more, except a replay into its outcome: that has to wait.
            if month.part(parted.table) in there:
                await connection.execute(f"lock table {month.part(parted.table)} in share mode")
        rows, sums = await _parts_print(connection, month)
        for table, (key, owners) in _KEYS.items():
            row = await connection.fetchrow(_deleted(table, key, owners), *bounds)
            rows[table], sums[table] = row["rows"], row["sum"]
        if Print(rows, sums) != exported:
            raise RequestStateError(f"{month} has changed since it was exported: export it again", code="changed")
        await connection.execute("delete from repeat_guard where envelope >= $1 and envelope < $2", *bounds)
        await connection.execute("delete from finding_earlier where envelope >= $1 and envelope < $2", *bounds)
        await connection.execute("delete from replacement where envelope >= $1 and envelope < $2", *bounds)
        await audit.write(connection, [act], at)
        await _drop_parts(connection, month, there)
        # With the journal locked nobody can begin anything with this month; what was begun before shows now.
        _refuse(await obstacles(connection, month))


async def _drop_parts(connection: Connection, month: Month, there: set[str]) -> None:
    for attempt in range(_LOCK_TRIES):
        try:
            async with connection.transaction():  # a savepoint: a lock that is not to be had costs no more than a try
                await connection.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'")
                for parted in PARTED:
                    if month.part(parted.table) in there:
                        await connection.execute(f"drop table {month.part(parted.table)}")
                    else:
                        await connection.execute(
                            f"delete from {parted.table}_default where {parted.key} >= $1 and {parted.key} < $2",
                            month.first_id,
                            month.plus(1).first_id,
                        )
                return
        except asyncpg.LockNotAvailableError:
            if attempt + 1 == _LOCK_TRIES:
                raise StorageError("the journal is too busy to take a month from it: try again later") from None
            await asyncio.sleep(_LOCK_PAUSE_SECS)


def _refuse(found: Sequence[Obstacle]) -> None:
    if found:
        said = "; ".join(f"{o.kind}: {o.number} ({', '.join(o.first)})" for o in found)
        raise RequestStateError(f"not everything in this month is done with: {said}", code="not-done")


async def _parts_print(connection: Connection, month: Month) -> tuple[dict[str, int], dict[str, int]]:
    bounds = month.first_id, month.plus(1).first_id
    number = await connection.fetchval("select count(*) from journal where id >= $1 and id < $2", *bounds)
    row = await connection.fetchrow(_summed("select * from outcome where envelope >= $1 and envelope < $2"), *bounds)
    return {"journal": number, "outcome": row["rows"]}, {"outcome": row["sum"]}


def _summed(rows: str) -> str:
    return f"select count(*) as rows, coalesce(bit_xor(hashtextextended(r::text, 0)), 0) as sum from ({rows}) r"


def _deleted(table: str, key: str, owners: str) -> str:
    return f"""
    with r as (delete from {table} where {key} in (select id from ({owners}) owner) returning *)
    select count(*) as rows, coalesce(bit_xor(hashtextextended(r::text, 0)), 0) as sum from r
    """


def _base64(column: str) -> str:
    return f"translate(encode({column}, 'base64'), E'\\n', '')"


def _findings(condition: str) -> str:
    return f"""
    (select coalesce(jsonb_agg(to_jsonb(f) - 'envelope' - 'tokens' order by f.found_at, f.id), '[]')
     from finding f where {condition})
    """


def _delivery(d: str) -> str:
    return f"""
    (to_jsonb({d}) - '{{payload,receipt}}'::text[] || jsonb_build_object(
        'payload', {_base64(f"{d}.payload")}, 'receipt', {_base64(f"{d}.receipt")},
        'findings', {_findings(f"f.envelope is null and f.about = 'Delivery/' || {d}.id")},
        'attempt_log', (select coalesce(jsonb_agg(to_jsonb(a) - 'delivery' order by a.at), '[]')
                        from delivery_attempt a where a.delivery = {d}.id)))
    """
