"""Envelopes: the walk of one, its bytes exactly as they were received, and what a person does about a held one."""

from __future__ import annotations

import secrets
from base64 import b64decode
from binascii import Error as NotBase64
from collections import Counter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import Response

from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.console import walk
from engine.api.console.acts import Done, Operator, Why
from engine.api.console.walk import MAY_READ_PAYLOADS, EnvelopeWalk
from engine.api.services import Hub
from engine.correction import corrected
from engine.envelope import EnvelopeIds
from engine.errors import NotFoundError, ParseError
from engine.store import audit, held, reading, walks
from engine.store.held import Choice
from engine.understanding import Understood, understand

router = APIRouter(prefix="/api/envelopes", tags=["console"])
PayloadReader = Annotated[Caller, Depends(needs(*MAY_READ_PAYLOADS))]
_ANY_SIZE = 2**31 - 1
_ids = EnvelopeIds(secrets.randbits)


class Correction(Why):
    """A whole message, as bytes in Base64, that takes the place of a held one. `dry_run` only says what would be."""

    payload_base64: str
    dry_run: bool = False


class FoundInCorrection(BaseModel):
    code: str
    severity: str
    text: str
    location: str | None
    rule: str | None


class Corrected(BaseModel):
    """The correction's own envelope (null when nothing was sent), and what today's mappings make of it.

    holds      it will be held again, in the same place
    resources  how many of each type it says something of
    """

    envelope: UUID | None
    holds: bool
    mapping: str | None
    resources: dict[str, int]
    findings: list[FoundInCorrection]


@router.get("/{envelope}")
async def envelope_walk(envelope: UUID, hub: Hub, caller: CurrentCaller) -> EnvelopeWalk:
    async with reading.question(hub.pool) as connection:
        told = await walk.told(connection, caller, hub.config, {envelope: ["envelope-id"]}, hub.clock())
    if not told:
        raise NotFoundError("there is no such envelope")
    return told[0]


@router.get("/{envelope}/payload", response_class=Response)
async def envelope_payload(envelope: UUID, hub: Hub, caller: PayloadReader) -> Response:
    """The exact bytes; their SHA-256 stands in the walk."""
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        found = (await walks.payloads(connection, [envelope], _ANY_SIZE)).get(envelope)
        if found is None:
            raise NotFoundError("there is no such envelope")
        await audit.write(connection, [audit.Audited(caller.name, "read-payload", f"Envelope/{envelope}")], at)
    return Response(
        found.payload,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{envelope}.{found.kind}"'},
    )


@router.post("/{envelope}/release")
async def release_envelope(envelope: UUID, body: Why, hub: Hub, caller: Operator) -> Done:
    """Lets a held envelope run again in its place. 404 when there is none, 409 when it is not held."""
    async with hub.pool.acquire() as connection, connection.transaction():
        await held.lock(connection, envelope)
        count = await held.release(connection, Choice([envelope]), caller.name, body.reason, hub.clock())
    return Done(count=count, dry_run=False)


@router.post("/{envelope}/skip")
async def skip_envelope(envelope: UUID, body: Why, hub: Hub, caller: Operator) -> Done:
    """Ends a held envelope without a record; what waits behind it goes on."""
    async with hub.pool.acquire() as connection, connection.transaction():
        await held.lock(connection, envelope)
        count = await held.skip(connection, Choice([envelope]), caller.name, body.reason, hub.clock())
    return Done(count=count, dry_run=False)


@router.post("/{envelope}/replace")
async def replace_envelope(envelope: UUID, body: Correction, hub: Hub, caller: Operator) -> Corrected:
    """Puts a corrected message in the place of a held one, which stays in the journal as it came.

    400 for what is no message; 409 when the envelope is not held, when nothing was changed, or when this content was
    accepted before.
    """
    try:
        payload = b64decode(body.payload_base64, validate=True)
    except (NotBase64, ValueError):
        raise ParseError("expected Base64", location="payload_base64", code="bad-parameter") from None
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        stands_for = await held.lock(connection, envelope)
        entry = corrected(stands_for, payload, caller.name, hub.config, _ids, at)
        understood = understand(entry.envelope, hub.config, hub.mapping_set)
        if not body.dry_run:
            await held.replace(connection, stands_for, entry, caller.name, body.reason, at)
    return _corrected(understood, None if body.dry_run else entry.envelope.id)


def _corrected(understood: Understood, envelope: UUID | None) -> Corrected:
    return Corrected(
        envelope=envelope,
        holds=understood.holds,
        mapping=understood.mapping,
        resources=dict(Counter(resource["resourceType"] for resource in understood.resources)),
        findings=[
            FoundInCorrection(
                code=finding.code,
                severity=finding.severity,
                text=finding.text,
                location=finding.location,
                rule=finding.rule,
            )
            for finding in understood.findings
        ],
    )
