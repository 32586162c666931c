"""Envelopes: the walk of one, and its bytes exactly as they were received."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.responses import Response

from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.console import walk
from engine.api.console.walk import MAY_READ_PAYLOADS, EnvelopeWalk
from engine.api.services import Hub
from engine.errors import NotFoundError
from engine.store import audit, reading, walks

router = APIRouter(prefix="/api/envelopes", tags=["console"])
PayloadReader = Annotated[Caller, Depends(needs(*MAY_READ_PAYLOADS))]
_ANY_SIZE = 2**31 - 1


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
