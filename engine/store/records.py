"""What does the record hold, and how is it changed? FHIR resources: current rows, superseded versions apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from engine.codecs import fhir_json
from engine.errors import Disposition, RecordError
from engine.store import rows
from engine.store.database import Connection
from engine.store.tokens import tokens_of

Resource = dict[str, Any]
"""A FHIR R4 resource as JSON; decimals are Decimal."""

# Columns of many resources travel as one text each, parted by characters that neither JSON nor a token can hold: the
# driver takes an array apart element by element, and that costs more than making the JSON.
_PART, _TOKEN = "\x1e", "\x1f"


def _parts(*numbers: int) -> str:
    return ", ".join(f"string_to_array(${number}::text, E'\\x1e')" for number in numbers)


# Type by type, with all ids of a type in one array: the index is walked once for a type, and not once for every id.
_READ = """
select r.type, r.id, r.version, r.last_updated, r.body, r.envelope
from unnest($1::text[], $2::text[]) wanted(type, ids)
join resource r on r.type = wanted.type and r.id = any(string_to_array(wanted.ids, E'\\x1e'))
order by r.type, r.id
"""

# Locked before the history is written: of two that replace one version, the second waits here and then finds it gone,
# instead of failing on the history's key; and in one order, so that two that replace the same rows do not deadlock.
_SUPERSEDE = """
insert into resource_history (type, id, version, last_updated, body, envelope, actor, mapping)
select r.type, r.id, r.version, r.last_updated, r.body, r.envelope, r.actor, r.mapping
from resource r join unnest($1::text[], $2::text[], $3::int[]) replaced(type, id, version)
     on r.type = replaced.type and r.id = replaced.id and r.version = replaced.version
order by r.type, r.id for update of r
"""

# The bodies travel as the bytes they are: they are most of what is written, and text would be decoded and encoded anew.
_BODIES = "string_to_array(convert_from($4::bytea, 'UTF8'), E'\\x1e')"
_CHANGED = f"""
unnest({_parts(1, 2, 3)}, {_BODIES}, {_parts(5, 6, 7, 8)}) c(type, id, version, body, tokens, envelope, actor, mapping)
"""
_TOKENS = "coalesce(string_to_array(c.tokens, E'\\x1f'), '{}')"
_ORIGIN = "nullif(c.envelope, '')::uuid, nullif(c.actor, ''), nullif(c.mapping, '')"

_REPLACE = f"""
update resource r
set (version, last_updated, body, tokens, envelope, actor, mapping)
    = (c.version::int, $9, c.body::json, {_TOKENS}, {_ORIGIN})
from {_CHANGED}
where r.type = c.type and r.id = c.id and r.version = c.version::int - 1
"""


class VersionConflict(RecordError):
    """Somebody else changed the resource between reading and writing; nothing was written by this transaction."""

    disposition = Disposition.RETRY
    code = "version-conflict"


@dataclass(frozen=True, slots=True)
class Stored:
    """A current resource. `body` has no meta.versionId and meta.lastUpdated: they are the columns.

    envelope  whose version this is; None for one that a person or hutong itself wrote
    """

    type: str
    id: str
    version: int
    last_updated: datetime
    body: Resource
    envelope: UUID | None = None

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


class Change(NamedTuple):
    """A whole resource to be recorded, and what it came from: an envelope with its mapping, or a person.

    `expect_version` is the version the change was made from, 0 for a resource that must not exist yet; None replaces
    whatever is there.
    """

    resource: Resource
    envelope: UUID | None = None
    actor: str | None = None
    mapping: str | None = None
    expect_version: int | None = None


class Written(NamedTuple):
    type: str
    id: str
    version: int

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    def __str__(self) -> str:
        return f"{self.type}/{self.id}@{self.version}"


async def read(connection: Connection, resource_type: str, resource_id: str) -> Stored | None:
    """The current version, or None when there is none."""
    found = await read_many(connection, [f"{resource_type}/{resource_id}"])
    return found.get(f"{resource_type}/{resource_id}")


async def read_many(
    connection: Connection, references: Iterable[str], *, for_update: bool = False
) -> dict[str, Stored]:
    """Current versions by reference (`Patient/…`); those that do not exist are left out.

    Rows are locked in one order (type, id), so that two transactions cannot wait for each other.
    """
    ids: dict[str, list[str]] = {}
    for reference in references:
        resource_type, _, resource_id = reference.partition("/")
        ids.setdefault(resource_type, []).append(resource_id)
    if not ids:
        return {}
    rows = await connection.fetch(
        _READ + (" for update of r" if for_update else ""), list(ids), [_PART.join(of_type) for of_type in ids.values()]
    )
    return {f"{row['type']}/{row['id']}": _stored(row) for row in rows}


async def find(connection: Connection, resource_type: str, token: str) -> list[Stored]:
    """Current resources of a type that carry a search token; few are expected."""
    rows = await connection.fetch(
        """
        select type, id, version, last_updated, body, envelope from resource
        where type = $1 and tokens @> array[$2] order by id limit 100
        """,
        resource_type,
        token,
    )
    return [_stored(row) for row in rows]


async def carrying(connection: Connection, any_of: Sequence[str]) -> list[str]:
    """References of current resources, of whatever type, that carry one of these tokens."""
    rows = await connection.fetch(
        "select type, id from resource where tokens && $1::text[] order by type, id", list(any_of)
    )
    return [f"{row['type']}/{row['id']}" for row in rows]


async def put_many(connection: Connection, changes: Sequence[Change], at: datetime) -> list[Written]:
    """Records the changes in the caller's transaction; a body equal to the current one makes no new version.

    Raises VersionConflict when a resource is not at the version a change expects.
    """
    references = [f"{change.resource['resourceType']}/{change.resource['id']}" for change in changes]
    current = await read_many(connection, references, for_update=True)
    fresh: list[Change] = []
    for reference, change in zip(references, changes, strict=True):
        stored = current.get(reference)
        version = stored.version if stored else 0
        if change.expect_version is not None and change.expect_version != version:
            raise VersionConflict(f"{reference} is at version {version}, not {change.expect_version}")
        if stored is None or not fhir_json.same(stored.body, change.resource):
            fresh.append(Change(change.resource, change.envelope, change.actor, change.mapping, expect_version=version))
    await write(connection, fresh, at)
    return [Written(*_key(change), (change.expect_version or 0) + 1) for change in fresh]


async def write(connection: Connection, changes: Sequence[Change], at: datetime) -> None:
    """Writes versions that the caller has read and compared; every change says the version it replaces.

    Raises VersionConflict when a row is not there at that version, or is there though it should be new.
    """
    created = sorted((c for c in changes if not c.expect_version), key=_key)
    replaced = sorted((c for c in changes if c.expect_version), key=_key)
    if replaced:
        status = await connection.execute(
            _SUPERSEDE,
            [c.resource["resourceType"] for c in replaced],
            [c.resource["id"] for c in replaced],
            [c.expect_version for c in replaced],
        )
        _all_of(replaced, status)
        _all_of(replaced, await connection.execute(_REPLACE, *_columns(replaced), at))
    if created:
        await _create(connection, created, at)


async def _create(connection: Connection, changes: Sequence[Change], at: datetime) -> None:
    pieces = list(rows.copied((change[:4] for change in changes), at))  # all of them, before the first one leaves
    try:
        await connection.copy_to_table(rows.TABLE, source=_one_by_one(pieces), columns=rows.COLUMNS, format="binary")
    except asyncpg.UniqueViolationError:
        raise VersionConflict("a resource was created by another transaction") from None


async def _one_by_one(pieces: Iterable[bytearray]) -> AsyncIterator[bytearray]:
    for piece in pieces:
        yield piece


def _columns(changes: Sequence[Change]) -> tuple[str | bytes, ...]:
    return (
        _PART.join([c.resource["resourceType"] for c in changes]),
        _PART.join([c.resource["id"] for c in changes]),
        _PART.join([str((c.expect_version or 0) + 1) for c in changes]),
        _PART.encode().join(_bodies(changes)),
        _PART.join([_TOKEN.join(tokens_of(c.resource)) for c in changes]),
        _PART.join([str(c.envelope or "") for c in changes]),
        _PART.join([c.actor or "" for c in changes]),
        _PART.join([c.mapping or "" for c in changes]),
    )


def _bodies(changes: Sequence[Change]) -> list[bytes]:
    """The resources as JSON. Raises RecordError for U+0000, which no text of the database can hold."""
    bodies = [fhir_json.dumps(change.resource) for change in changes]
    for change, body in zip(changes, bodies, strict=True):
        rows.refuse_nul(change.resource, body)
    return bodies


def _all_of(changes: Sequence[Change], status: str) -> None:
    """Raises VersionConflict when a statement (`UPDATE 3`) touched fewer rows than there are changes."""
    if int(status.rsplit(" ", 1)[1]) != len(changes):
        raise VersionConflict("a resource was changed by another transaction")


def _stored(row: asyncpg.Record) -> Stored:
    body = fhir_json.loads(row["body"])
    return Stored(row["type"], row["id"], row["version"], row["last_updated"], body, row["envelope"])


def _key(change: Change) -> tuple[str, str]:
    return change.resource["resourceType"], change.resource["id"]
