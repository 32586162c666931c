"""What became of each field of one envelope? Its segments, and each element with its rule and its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from engine.api.caller import Caller, needs
from engine.api.console.payloads import decoded
from engine.api.console.walk import LARGEST_SHOWN_BYTES, MAY_READ_PAYLOADS
from engine.api.services import Hub
from engine.errors import NotFoundError
from engine.mapping import FieldSource
from engine.store import audit, provenance, reading, walks
from engine.store.walks import StoredPayload
from engine.understanding import understand

router = APIRouter(prefix="/api/envelopes", tags=["console"])
PayloadReader = Annotated[Caller, Depends(needs(*MAY_READ_PAYLOADS))]
MOST_FIELDS = 5_000
"""A message of a thousand results has more than anybody reads."""
LARGEST_MAPPED_BYTES = 16 * LARGEST_SHOWN_BYTES


class Segment(BaseModel):
    """One line of the payload, decoded: its bytes from start to end, end not included."""

    number: int
    name: str
    start: int
    end: int
    text: str


class MappedField(BaseModel):
    """An element, and what it was made of: element ← rule ← field of the message, its bytes from start to end.

    `value` is written out, so that decimals keep their digits; null where the element is a structure of its own.
    """

    resource: str
    path: str
    value: str | None
    rule: str
    rule_version: str
    field: str
    start: int
    end: int


class MappedEnvelope(BaseModel):
    """How the rules of today read an envelope.

    mapping          that it was mapped by; null when it was not
    mapping_changed  the rules of today are not those that it was mapped by: they are shown all the same
    more             there is more than is shown
    """

    envelope: UUID
    mapping: str | None
    mapping_today: str | None
    mapping_changed: bool
    segments: list[Segment]
    fields: list[MappedField]
    unmapped: list[str]
    more: bool


@router.get("/{envelope}/mapped")
async def envelope_mapped(envelope: UUID, hub: Hub, caller: PayloadReader) -> MappedEnvelope:
    """Field by field, for an envelope that was processed as for one that is held."""
    async with reading.question(hub.pool) as connection:
        found = await provenance.envelope_of(connection, envelope, LARGEST_MAPPED_BYTES)
        if found is None:
            raise NotFoundError("there is no such envelope, or it is too large to be shown field by field")
        rows = await walks.of_envelopes(connection, [envelope])
        act = audit.Audited(caller.name, "read-payload", f"Envelope/{envelope}")
        await audit.write(connection, [act], hub.clock())
    said = understand(found, hub.config, hub.mapping_set, with_sources=True)
    resources = {f"{resource['resourceType']}/{resource['id']}": resource for resource in said.resources}
    stored = StoredPayload(found.id, found.kind, found.channel, found.payload)
    segments = list(_segments(found.payload, decoded(stored, hub.config).charset))
    then = rows[0].mapping
    return MappedEnvelope(
        envelope=envelope,
        mapping=then,
        mapping_today=said.mapping,
        mapping_changed=then is not None and then != said.mapping,
        segments=segments[:MOST_FIELDS],
        fields=[_field(source, resources.get(source.resource)) for source in said.sources[:MOST_FIELDS]],
        unmapped=said.unmapped,
        more=max(len(segments), len(said.sources)) > MOST_FIELDS,
    )


def _segments(payload: bytes, charset: str) -> Iterator[Segment]:
    """Lines, cut by bytes before they are decoded: no character of a charset in use here has a line end in it."""
    start = number = 0
    for line in payload.replace(b"\n", b"\r").split(b"\r"):
        if line:
            number += 1
            text = line.decode(charset, "backslashreplace")
            yield Segment(number=number, name=text[:3].strip(), start=start, end=start + len(line), text=text)
        start += len(line) + 1


def _field(source: FieldSource, resource: dict[str, Any] | None) -> MappedField:
    return MappedField(
        resource=source.resource,
        path=source.path,
        value=_value(resource, source.path),
        rule=source.rule,
        rule_version=str(source.version),
        field=source.field,
        start=source.start,
        end=source.end,
    )


def _value(resource: Any, path: str) -> str | None:
    value = resource
    for part in path.replace("[", ".[").split("."):
        try:
            value = value[int(part[1:-1])] if part.startswith("[") else value[part]
        except (LookupError, TypeError, ValueError):
            return None
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
