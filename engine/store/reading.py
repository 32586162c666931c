"""What does the record say, word for word? Resources and their versions as JSON text, for handing on unparsed.

The members of a resource are handed on as they were written: 5.10 stays 5.10, and nothing here turns one into a float.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.codecs import fhir_json
from engine.store.database import Connection, Pool

_STATEMENT_TIMEOUT = "20s"
"""A question that takes longer is answered with a refusal: it would hold up the intake of messages."""

COLUMNS = "r.type, r.id, r.version, r.last_updated, r.body"
"""What `of_row` needs of a row `r` of resource or resource_history."""

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REFERENCE = msgspec.json.Decoder(dict[str, Any])
_WHOSE = ("subject", "for", "patient")
"""Elements that refer to the Patient, the first that is there."""


@dataclass(frozen=True, slots=True)
class Text:
    """One version of a resource as JSON text, meta.versionId and meta.lastUpdated included.

    person  reference of the Patient whose data it is; None for an Organization and the like
    """

    type: str
    id: str
    version: int
    last_updated: datetime
    json: str
    person: str | None

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@asynccontextmanager
async def question(pool: Pool) -> AsyncIterator[Connection]:
    """A connection on which several statements see one state, none runs away, and each is planned for its values.

    A generic plan knows nothing of how rare the tokens asked for are, and would walk the whole table for them.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        await connection.execute(
            """
            select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('statement_timeout', $1, true)
            """,
            _STATEMENT_TIMEOUT,
        )
        yield connection


async def current(connection: Connection, resource_type: str, resource_id: str) -> Text | None:
    """The current version, or None."""
    row = await connection.fetchrow(
        f"select {COLUMNS} from resource r where r.type = $1 and r.id = $2", resource_type, resource_id
    )
    return of_row(row) if row is not None else None


async def versions(
    connection: Connection, resource_type: str, resource_id: str, *, below: int, limit: int
) -> list[Text]:
    """Versions under a number, newest first; `version` finds exactly one."""
    rows = await connection.fetch(
        f"""
        (select {COLUMNS} from resource r where r.type = $1 and r.id = $2 and r.version < $3)
        union all
        (select {COLUMNS} from resource_history r where r.type = $1 and r.id = $2 and r.version < $3
         order by r.version desc limit $4)
        order by version desc limit $4
        """,
        resource_type,
        resource_id,
        below,
        limit,
    )
    return [of_row(row) for row in rows]


async def version(connection: Connection, resource_type: str, resource_id: str, number: int) -> Text | None:
    """One version, current or superseded, or None."""
    found = await versions(connection, resource_type, resource_id, below=number + 1, limit=1)
    return found[0] if found and found[0].version == number else None


async def count_versions(connection: Connection, resource_type: str, resource_id: str) -> int:
    """How many versions there are; 0 when there was never such a resource."""
    total: int = await connection.fetchval(
        """
        select (select count(*) from resource where type = $1 and id = $2)
             + (select count(*) from resource_history where type = $1 and id = $2)
        """,
        resource_type,
        resource_id,
    )
    return total


async def same_person(connection: Connection, patients: Iterable[str]) -> list[str]:
    """These Patient ids, the golden Patients they are linked to, and every other source of those."""
    rows = await connection.fetch(
        """
        with wanted(id) as (select unnest($1::text[])),
             golden(id) as (select id from wanted
                            union select l.golden from patient_link l join wanted w on l.source = w.id)
        select id from golden union select l.source from patient_link l join golden g on l.golden = g.id order by id
        """,
        sorted(set(patients)),
    )
    return [row["id"] for row in rows]


def of_row(row: Any) -> Text:
    """Puts a row selected by COLUMNS back together, the type and id first, where a person looks for them."""
    resource_type, resource_id = row["type"], row["id"]
    members = _MEMBERS.decode(row["body"])
    person = f"Patient/{resource_id}" if resource_type == "Patient" else _person(members)
    meta = {"versionId": _raw(str(row["version"])), "lastUpdated": _raw(instant(row["last_updated"]))}
    said = _MEMBERS.decode(members["meta"]) if "meta" in members else {}
    whole = {
        "resourceType": _raw(resource_type),
        "id": _raw(resource_id),
        "meta": _joined(meta | {name: text for name, text in said.items() if name not in meta}),
    }
    text = _joined(whole | {name: text for name, text in members.items() if name not in whole})
    return Text(resource_type, resource_id, row["version"], row["last_updated"], str(text, "utf-8"), person)


def instant(at: datetime) -> str:
    """http://hl7.org/fhir/R4/datatypes.html#instant, in UTC."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _person(members: dict[str, msgspec.Raw]) -> str | None:
    for element in _WHOSE:
        if element in members and (reference := _REFERENCE.decode(members[element]).get("reference")):
            return str(reference)
    return None


def _joined(members: dict[str, msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(fhir_json.dumps(members))


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(fhir_json.dumps(text))
