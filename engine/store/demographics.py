"""Which persons answer a query? Source Patients by search token, each under its golden Patient; and known domains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.codecs import fhir_json
from engine.store.database import Connection
from engine.store.records import Resource

# The persons in the order of their ids, so that a page goes on where the one before ended. Tokens are looked up first:
# they are few, and a person without any of them is never read.
_CANDIDATES = """
with found as materialized (
    select distinct l.golden
    from resource r join patient_link l on l.source = r.id
    where r.type = 'Patient' and r.tokens @> $1::text[]
)
select golden from found where golden > $2 order by golden limit $3
"""

_SOURCES = """
select l.golden, r.body
from patient_link l join resource r on r.type = 'Patient' and r.id = l.source
where l.golden = any($1::text[]) order by l.golden, r.last_updated desc, r.id
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A person: the golden Patient's id, and every source Patient linked to it, the last written first."""

    golden: str
    sources: Sequence[Resource]


async def candidates(connection: Connection, tokens: Sequence[str], after: str, limit: int) -> list[str]:
    """Golden ids, in order and after that one, of which some source Patient has all these tokens."""
    rows = await connection.fetch(_CANDIDATES, list(tokens), after, limit)
    return [row["golden"] for row in rows]


async def persons(connection: Connection, goldens: Iterable[str]) -> list[Known]:
    """These persons, in the order of their ids."""
    gathered: dict[str, list[Resource]] = {}
    for row in await connection.fetch(_SOURCES, sorted(set(goldens))):
        gathered.setdefault(row["golden"], []).append(fhir_json.loads(row["body"]))
    return [Known(golden, sources) for golden, sources in gathered.items()]


async def known_systems(connection: Connection) -> set[str]:
    """Every system of an identifier that was ever recorded of a patient."""
    return {row["system"] for row in await connection.fetch("select system from identifier_domain")}


async def add_systems(connection: Connection, systems: Iterable[str]) -> None:
    """Keeps systems of identifiers, in the transaction that records them."""
    await connection.execute(
        "insert into identifier_domain select unnest($1::text[]) on conflict do nothing", sorted(set(systems))
    )
