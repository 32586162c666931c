"""Which person do these source Patients belong to? Personal identifiers, links and the locks on them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from engine.identity import golden_id
from engine.store.database import Connection
from engine.store.records import VersionConflict

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


def own_standing(source: str) -> Standing:
    """Of a source Patient that is nobody we know."""
    return Standing(golden_id(source), golden_id(source))


NOTHING: Mapping[Key, str] = MappingProxyType({})


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


async def hold_people(
    connection: Connection, sources: Iterable[str], wanted: Mapping[Key, str] = NOTHING
) -> dict[str, Standing]:
    """The standing of every source Patient of whole persons, locked with all their identifiers; for who joins them.

    Whoever identifies one of them at this moment has finished first, or waits and then reads what is written now.

    sources  source Patients of the persons
    wanted   personal identifiers that one of these sources is about to claim: whose they are is locked too

    All sources are locked before any identifier, each in one order. A person that grew while we waited is let go and
    locked anew: to lock its new source now, behind the identifiers, would be to wait in a circle.
    """
    asked = sorted(set(sources))
    while True:
        attempt = connection.transaction()
        await attempt.start()
        links = await hold_links(connection, await _whole(connection, asked, wanted))
        homes = {standing.home for standing in links.values()}
        claims = {key: links.get(source) or own_standing(source) for key, source in wanted.items()}
        await hold_keys(connection, claims | await _keys_of(connection, homes))
        if set(await _whole(connection, asked, wanted)) <= links.keys():
            await attempt.commit()
            return links
        await attempt.rollback()


async def members(connection: Connection, sources: Iterable[str]) -> dict[str, Standing]:
    """The standing of every source Patient of the persons of these sources, whom the caller holds."""
    rows = await connection.fetch(
        """
        select source, golden, home from patient_link
        where golden = any(array(select golden from patient_link where source = any($1))) order by source
        """,
        sorted(set(sources)),
    )
    return {row["source"]: Standing(row["golden"], row["home"]) for row in rows}


# An array of golden ids is looked up in the index whatever the planner believes of their number; a sub-select may be
# joined to everybody there is.


async def members_of(connection: Connection, goldens: Iterable[str]) -> dict[str, Standing]:
    """The standing of every source Patient of these persons."""
    rows = await connection.fetch(
        "select source, golden, home from patient_link where golden = any($1) order by source", sorted(set(goldens))
    )
    return {row["source"]: Standing(row["golden"], row["home"]) for row in rows}


async def any_joined(connection: Connection, sources: Iterable[str], keys: Iterable[Key]) -> bool:
    """Whether somebody stated that one of these persons is more than its identifiers say. Nothing is locked."""
    looked_up = list(keys)
    found: bool = await connection.fetchval(
        """
        select exists (
            select from patient_link where home <> golden and golden = any(array(
                select golden from patient_link where source = any($1)
                union select golden from person_key
                where (system, value) in (select * from unnest($2::text[], $3::text[])))))
        """,
        list(sources),
        [system for system, _ in looked_up],
        [value for _, value in looked_up],
    )
    return found


async def _whole(connection: Connection, sources: Sequence[str], keys: Iterable[Key]) -> list[str]:
    """Every source Patient of the persons that these sources and identifiers belong to now."""
    looked_up = list(keys)
    rows = await connection.fetch(
        """
        select source from patient_link where golden = any(array(
            select golden from patient_link where source = any($1)
            union select golden from person_key
            where (system, value) in (select * from unnest($2::text[], $3::text[]))))
        """,
        sources,
        [system for system, _ in looked_up],
        [value for _, value in looked_up],
    )
    return [row["source"] for row in rows]


async def _keys_of(connection: Connection, homes: Iterable[str]) -> dict[Key, Standing]:
    rows = await connection.fetch(
        "select system, value, golden, home from person_key where home = any($1)", sorted(homes)
    )
    return {(row["system"], row["value"]): Standing(row["golden"], row["home"]) for row in rows}


async def regroup(connection: Connection, goldens: Mapping[str, str], homes: Mapping[str, str]) -> None:
    """Gives sources, and the identifiers that are at home where these are, to other golden Patients.

    goldens, homes  by source; where a source is at home stays what it is
    """
    if not goldens:
        return
    by_home = {homes[source]: golden for source, golden in goldens.items()}
    for table, column, moved in (("patient_link", "source", goldens), ("person_key", "home", by_home)):
        await connection.execute(
            f"""
            update {table} t set golden = m.golden from unnest($1::text[], $2::text[]) m(held, golden)
            where t.{column} = m.held and t.golden <> m.golden
            """,
            sorted(moved),
            [moved[held] for held in sorted(moved)],
        )


async def hold_keys(connection: Connection, wanted: Mapping[Key, Standing]) -> dict[Key, Standing]:
    """Claims each personal identifier for its golden Patient, unless another one holds it already.

    Returns the holder of every identifier, locked until the transaction ends: two messages that bring the same person
    from two facilities at once wait here for each other. Taken in one order, so they cannot wait in a circle. Raises
    VersionConflict when its holder gave an identifier up at this moment: begin again.
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
    if len(rows) != len(claims):
        raise VersionConflict("an identifier was released by another transaction before it could be locked")
    return {(row["system"], row["value"]): Standing(row["golden"], row["home"]) for row in rows}


async def move_keys(connection: Connection, home: str, to: Standing) -> None:
    """Gives the identifiers of one home to another, when whoever had them turns out to be at home there."""
    await connection.execute("update person_key set golden = $2, home = $3 where home = $1", home, to.golden, to.home)


async def release_keys(connection: Connection, keys: Iterable[Key]) -> None:
    """Gives up identifiers that no source of their person has any more; the caller holds them."""
    released = sorted(set(keys))
    if not released:
        return
    await connection.execute(
        "delete from person_key where (system, value) in (select * from unnest($1::text[], $2::text[]))",
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
