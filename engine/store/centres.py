"""Which requests wait at the centres, and which reports does a person have? The reading room's searches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from asyncpg import Record

from engine.centres.request import CENTRE
from engine.centres.states import RequestState
from engine.codecs import fhir_json
from engine.store import people
from engine.store.database import Connection
from engine.store.records import Stored
from engine.store.tokens import of_reference, of_system_and_value, of_value

_REQUESTS = """
select type, id, version, last_updated, body from resource
where type = 'Task' and tokens && $1 and body::jsonb @> any($2::jsonb[])
"""
_MOST_URGENT_FIRST = """
order by array_position(array['stat', 'asap', 'urgent', 'routine'], body->>'priority'), body->>'authoredOn', id limit $3
"""
_LATEST_FIRST = "order by last_updated desc, id limit $3"


async def open_requests(
    connection: Connection, states: Iterable[RequestState], centres: Iterable[str], limit: int
) -> list[Stored]:
    """Requests in these states at these centres, the most urgent first and then the oldest."""
    return await _requests(connection, _REQUESTS + _MOST_URGENT_FIRST, states, centres, limit)


async def open_requests_in_pages(
    connection: Connection, states: Iterable[RequestState], centres: Iterable[str], size: int
) -> AsyncIterator[list[Stored]]:
    """All of `open_requests`, so many at a time; in the caller's transaction, which must see one moment."""
    statement = (_REQUESTS + _MOST_URGENT_FIRST).removesuffix("limit $3\n")
    cursor = await connection.cursor(statement, _state_tokens(states), _at_centres(centres))
    while rows := await cursor.fetch(size):
        yield [_stored(row) for row in rows]


async def closed_requests(
    connection: Connection, states: Iterable[RequestState], centres: Iterable[str], limit: int
) -> list[Stored]:
    """Requests in these states at these centres, the latest changed first."""
    return await _requests(connection, _REQUESTS + _LATEST_FIRST, states, centres, limit)


async def count_by_state(
    connection: Connection, states: Iterable[RequestState], centres: Iterable[str]
) -> dict[RequestState, int]:
    """How many requests are in each of these states; those without any are 0."""
    wanted = list(states)
    rows = await connection.fetch(
        """
        select state, count(*) as requests
        from resource, unnest(tokens) as state
        where type = 'Task' and tokens && $1 and state = any($1) and body::jsonb @> any($2::jsonb[])
        group by state
        """,
        _state_tokens(wanted),
        _at_centres(centres),
    )
    found = {row["state"]: row["requests"] for row in rows}
    return {state: found.get(token, 0) for state, token in zip(wanted, _state_tokens(wanted), strict=True)}


async def reports_of(connection: Connection, patients: Iterable[str]) -> list[Stored]:
    """Every report of these Patients, the latest changed first."""
    return await _of_patients(connection, "DiagnosticReport", patients)


async def allergies_of(connection: Connection, patients: Iterable[str]) -> list[Stored]:
    """Every allergy that is known of these Patients, the latest changed first."""
    return await _of_patients(connection, "AllergyIntolerance", patients)


async def _of_patients(connection: Connection, resource_type: str, patients: Iterable[str]) -> list[Stored]:
    rows = await connection.fetch(
        """
        select type, id, version, last_updated, body from resource
        where type = $1 and tokens && $2
        order by last_updated desc, id
        """,
        resource_type,
        [of_reference("subject", f"Patient/{patient}") for patient in patients],
    )
    return [Stored(r["type"], r["id"], r["version"], r["last_updated"], fhir_json.loads(r["body"])) for r in rows]


async def same_person(connection: Connection, patients: Iterable[str]) -> list[str]:
    """The ids of every source Patient of the persons that these Patients, golden or source, belong to."""
    asked = set(patients)
    goldens = set((await people.links_of(connection, asked)).values()) | asked
    sources = await people.sources_of(connection, goldens)
    return sorted(asked | {source for linked in sources.values() for source in linked})


async def patients_identified(connection: Connection, system: str, value: str) -> list[str]:
    """The ids of the Patients that carry this identifier."""
    token = of_system_and_value("identifier", system, value)
    rows = await connection.fetch("select id from resource where type = 'Patient' and tokens @> $1", [token])
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class Return:
    """One sending of a report, as the reading room shows it."""

    endpoint: str
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None


async def returns_of(connection: Connection, task: str) -> list[Return]:
    """Where the report of a request goes, and how far it has come."""
    rows = await connection.fetch(
        """
        select endpoint, state, attempts, last_error, created_at, delivered_at
        from delivery where about = $1 order by id
        """,
        f"Task/{task}",
    )
    return [Return(**row) for row in rows]


async def _requests(
    connection: Connection, statement: str, states: Iterable[RequestState], centres: Iterable[str], limit: int
) -> list[Stored]:
    rows = await connection.fetch(statement, _state_tokens(states), _at_centres(centres), limit)
    return [_stored(row) for row in rows]


def _stored(row: Record) -> Stored:
    return Stored(row["type"], row["id"], row["version"], row["last_updated"], fhir_json.loads(row["body"]))


def _state_tokens(states: Iterable[RequestState]) -> list[str]:
    return [of_value("business-status", state) for state in states]


def _at_centres(centres: Iterable[str]) -> Sequence[str]:
    return [json.dumps({"extension": [{"url": CENTRE, "valueCode": centre}]}) for centre in centres]
