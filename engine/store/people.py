"""Which person do these source Patients belong to? Personal identifiers, links and the locks on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.store.database import Connection

Key = tuple[str, str]
"""(system, value) of a personal identifier."""


@dataclass(frozen=True, slots=True)
class Link:
    source: str
    golden: str
    reasons: Sequence[str]


async def hold_keys(connection: Connection, wanted: Mapping[Key, str]) -> dict[Key, str]:
    """Claims each personal identifier for its golden Patient, unless another one holds it already.

    Returns the holder of every identifier, locked until the transaction ends: two messages that bring the same person
    from two facilities at once wait here for each other. Taken in one order, so they cannot wait in a circle.
    """
    claims = sorted(wanted.items())
    if not claims:
        return {}
    systems, values = [key[0] for key, _ in claims], [key[1] for key, _ in claims]
    await connection.execute(
        """
        insert into person_key (system, value, golden)
        select * from unnest($1::text[], $2::text[], $3::text[]) order by 1, 2 on conflict do nothing
        """,
        systems,
        values,
        [golden for _, golden in claims],
    )
    rows = await connection.fetch(
        """
        select k.system, k.value, k.golden from person_key k
        where (k.system, k.value) in (select * from unnest($1::text[], $2::text[]))
        order by 1, 2 for update of k
        """,
        systems,
        values,
    )
    return {(row["system"], row["value"]): row["golden"] for row in rows}


async def move_keys(connection: Connection, golden: str, to: str) -> None:
    """Gives what one golden Patient holds to another, when they turn out to be one person."""
    await connection.execute("update person_key set golden = $2 where golden = $1", golden, to)


async def release_keys(connection: Connection, golden: str, keys: Iterable[Key]) -> None:
    """Takes identifiers from a golden Patient that none of its sources has any more."""
    released = sorted(set(keys))
    if not released:
        return
    await connection.execute(
        """
        delete from person_key
        where golden = $1 and (system, value) in (select * from unnest($2::text[], $3::text[]))
        """,
        golden,
        [system for system, _ in released],
        [value for _, value in released],
    )


async def links_of(connection: Connection, sources: Iterable[str]) -> dict[str, str]:
    """The golden Patient of each source Patient that has one."""
    rows = await connection.fetch(
        "select source, golden from patient_link where source = any($1)", sorted(set(sources))
    )
    return {row["source"]: row["golden"] for row in rows}


async def sources_of(connection: Connection, goldens: Iterable[str]) -> dict[str, list[str]]:
    """The source Patients of each golden Patient."""
    rows = await connection.fetch(
        "select golden, source from patient_link where golden = any($1) order by golden, source", sorted(set(goldens))
    )
    people: dict[str, list[str]] = {}
    for row in rows:
        people.setdefault(row["golden"], []).append(row["source"])
    return people


async def link(connection: Connection, links: Sequence[Link], at: datetime) -> None:
    if not links:
        return
    await connection.executemany(
        """
        insert into patient_link (source, golden, reasons, linked_at) values ($1, $2, $3, $4)
        on conflict (source) do update set golden = excluded.golden, reasons = excluded.reasons,
                                           linked_at = excluded.linked_at
        """,
        [(link.source, link.golden, json.dumps(list(link.reasons)), at) for link in links],
    )
