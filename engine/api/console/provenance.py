"""Provenance: where each element of a resource came from, down to the bytes; and the fields that no rule takes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from engine.api.caller import Caller, needs
from engine.api.console.walk import MAY_READ_PAYLOADS
from engine.api.services import Hub
from engine.errors import NotFoundError
from engine.identity.golden import GOLDEN_TAG
from engine.provenance import Origin, Written, provenance
from engine.store import audit, reading
from engine.store import provenance as stored

router = APIRouter(prefix="/api", tags=["console"])
PayloadReader = Annotated[Caller, Depends(needs(*MAY_READ_PAYLOADS))]
MOST_VERSIONS = 50
"""Versions that are mapped again for one answer; a resource of more is answered from its newest ones."""
_REFERENCE = r"^[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64}$"


class FieldOrigin(BaseModel):
    """A rule and the field it read: `bytes` of the envelope's payload from start to end, end not included."""

    rule: str
    rule_version: str
    field: str
    start: int
    end: int


class ElementOrigin(BaseModel):
    """Where one element came from. `value` is written out, so that decimals keep their digits.

    said_by  message; person (`actor`); hutong, which worked it out; archived: a message that has been pruned
             from the journal; unknown: older than the versions looked at
    version  of the resource in which it was said
    sources  empty for what a rule says by itself, and for what did not come as HL7 v2
    """

    path: str
    value: str
    said_by: str
    version: int
    envelope: UUID | None
    actor: str | None
    sources: list[FieldOrigin]


class VersionOrigin(BaseModel):
    """How one version came to be.

    mapping_changed  the message is mapped by other rules today, so `sources` show those and not the ones that made it
    """

    version: int
    last_updated: datetime
    envelope: UUID | None
    channel: str | None
    control_id: str | None
    message_type: str | None
    actor: str | None
    mapping: str | None
    mapping_today: str | None
    mapping_changed: bool


class ResourceProvenance(BaseModel):
    """`gathered_from`: the source Patients that a golden Patient is made of; ask for those. `more`: there are older
    versions."""

    reference: str
    version: int
    elements: list[ElementOrigin]
    versions: list[VersionOrigin]
    gathered_from: list[str]
    more: bool


class UnmappedLine(BaseModel):
    """A field that held something no rule of a mapping took."""

    mapping: str
    field: str
    messages: int
    last_envelope: UUID


@router.get("/provenance")
async def resource_provenance(
    reference: Annotated[str, Query(pattern=_REFERENCE)],
    hub: Hub,
    caller: PayloadReader,
    path: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.\[\]]{0,200}$")] = "",
) -> ResourceProvenance:
    """`path` narrows the answer to an element and what is below it: `name`, `name[0].family`."""
    resource_type, _, resource_id = reference.partition("/")
    async with reading.question(hub.pool) as connection:
        found = await stored.versions(connection, resource_type, resource_id, MOST_VERSIONS)
        if not found:
            raise NotFoundError("no such resource", location=reference)
        envelopes = {version.envelope.id for version in found if version.envelope is not None}
        acts = [audit.Audited(caller.name, "provenance", reference, {"path": path})]
        acts += [audit.Audited(caller.name, "read-payload", f"Envelope/{envelope}") for envelope in sorted(envelopes)]
        await audit.write(connection, acts, hub.clock())
    answer = provenance(reference, found, hub.config, hub.mapping_set, path)
    current = found[0].body
    golden = GOLDEN_TAG in current.get("meta", {}).get("tag", ())
    return ResourceProvenance(
        reference=reference,
        version=found[0].version,
        elements=[_element(origin) for origin in answer.origins],
        versions=[_version(written) for written in answer.versions],
        gathered_from=[link["other"]["reference"] for link in current.get("link", ())] if golden else [],
        more=found[-1].version > 1,
    )


@router.get("/unmapped")
async def unmapped(hub: Hub, _: PayloadReader, days: Annotated[int, Query(ge=1, le=366)] = 30) -> list[UnmappedLine]:
    """What the mappings of the messages of the last days left aside, the most frequent first. Never a value."""
    async with reading.question(hub.pool) as connection:
        lines = await stored.unmapped_fields(connection, hub.clock() - timedelta(days=days))
    return [
        UnmappedLine(mapping=line.mapping, field=line.field, messages=line.messages, last_envelope=line.last_envelope)
        for line in lines
    ]


def _element(origin: Origin) -> ElementOrigin:
    return ElementOrigin(
        path=origin.path,
        value=str(origin.value).lower() if isinstance(origin.value, bool) else str(origin.value),
        said_by=origin.said_by,
        version=origin.version,
        envelope=origin.envelope,
        actor=origin.actor,
        sources=[
            FieldOrigin(rule=s.rule, rule_version=str(s.version), field=s.field, start=s.start, end=s.end)
            for s in origin.sources
        ],
    )


def _version(written: Written) -> VersionOrigin:
    envelope = written.envelope
    return VersionOrigin(
        version=written.version,
        last_updated=written.last_updated,
        envelope=envelope.id if envelope else None,
        channel=envelope.channel if envelope else None,
        control_id=envelope.control_id if envelope else None,
        message_type=envelope.message_type if envelope else None,
        actor=written.actor,
        mapping=written.mapping,
        mapping_today=written.mapping_today,
        mapping_changed=written.mapping_changed,
    )
