"""Is the hub alive, and does it offer decision support? The two questions that need no token, FHIR's metadata aside."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from engine.api.services import Hub

router = APIRouter()
_PATIENCE_SECS = 2


@router.get("/health", tags=["hub"])
async def health(hub: Hub) -> dict[str, str]:
    """200 when requests can be served: the process answers and its database does."""
    async with asyncio.timeout(_PATIENCE_SECS):
        async with hub.pool.acquire() as connection:
            await connection.execute("select 1")
    return {"status": "ok"}


@router.get("/cds-services", tags=["hooks"])
async def cds_services() -> dict[str, list[dict[str, str]]]:
    """CDS Hooks discovery: no service is offered yet."""
    return {"services": []}
