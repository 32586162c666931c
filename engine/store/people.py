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
class Standing:
    """Where a source Patient or an identifier belongs.

    golden  the person, with all that was stated of it
    home    the person by identifiers alone, before anybody merged or linked it
    """

    golden: str
    home: str


@dataclass(frozen=True, slots=True)
class Link:
    source: str
    golden: str
    home: str
    reasons: Sequence[str]


async def hold_links(connection: Connection, sources: Iterable[str]) -> dict[str, Standing]:
    """The standing of each source Patient that has one; nobody joins or parts their persons until the caller is done.

    Taken before any identifier (`hold_keys`) and in one order, so that nobody waits in a circle.
    """
    rows = await connection.fetch(
        "select source, golden, home from patient_link where source = any($1) order by source for update",
        sorted(set(sources)),
    )
    return {row["source"]: Standing(row["golden"], row["home"]) for row in rows}


async def hold_people(connection: Connection, sources: Iterable[str]) -> dict[str, Standing]:
    """The standing of every source Patient of the persons that these sources belong to, locked with their identifiers.

    Whoever identifies one of them at this moment has finished first, or waits and then reads what is written now.
    """
    asked = sorted(set(sources))
    persons = "select golden from patient_link where source = any($1)"
    await connection.execute(f"select from patient_link where golden in ({persons}) order by source for update", asked)
    await connection.execute(
        f"select from person_key where golden in ({persons}) order by system, value for update", asked
    )
    rows = await connection.fetch(
        f"select source, golden, home from patient_link where golden in ({persons}) order by source for update", asked
    )
    return {row["source"]: Standing(row["golden"], row["home"]) for row in rows}


async def regroup(connection: Connection, goldens: Mapping[str, str]) -> None:
    """Gives sources and identifiers to other golden Patients: by home, which stays what it is."""
    if not goldens:
        return
    homes = sorted(goldens)
    moved = "from unnest($1::text[], $2::text[]) m(home, golden) where t.home = m.home and t.golden <> m.golden"
    for table in ("patient_link", "person_key"):
        await connection.execute(
            f"update {table} t set golden = m.golden {moved}", homes, [goldens[home] for home in homes]
        )


async def hold_keys(connection: Connection, wanted: Mapping[Key, Standing]) -> dict[Key, Standing]:
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
        insert into person_key (system, value, golden, home)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) order by 1, 2 on conflict do nothing
        """,
        systems,
        values,
        [standing.golden for _, standing in claims],
        [standing.home for _, standing in claims],
    )
    rows = await connection.fetch(
        """
        select k.system, k.value, k.golden, k.home from person_key k
        where (k.system, k.value) in (select * from unnest($1::text[], $2::text[]))
        order by 1, 2 for update of k
        """,
        systems,
        values,
    )
    return {(row["system"], row["value"]): Standing(row["golden"], row["home"]) for row in rows}


async def move_keys(connection: Connection, golden: str, to: Standing) -> None:
    """Gives what one golden Patient holds to another, when they turn out to be one person."""
    await connection.execute(
        "update person_key set golden = $2, home = $3 where golden = $1", golden, to.golden, to.home
    )


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
        insert into patient_link (source, golden, home, reasons, linked_at) values ($1, $2, $3, $4, $5)
        on conflict (source) do update set golden = excluded.golden, home = excluded.home, reasons = excluded.reasons,
                                           linked_at = excluded.linked_at
        """,
        [(link.source, link.golden, link.home, json.dumps(list(link.reasons)), at) for link in links],
    )
