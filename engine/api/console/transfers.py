"""Transfers: which studies move between this hub and others, and how far they have come."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from engine.api.caller import CurrentCaller
from engine.api.console.paging import Limit
from engine.api.services import Hub
from engine.store import transfers
from engine.store.transfers import TransferLine

router = APIRouter(prefix="/api/transfers", tags=["console"])


class Transfers(BaseModel):
    """Those that move first, then those that ended last."""

    transfers: list[TransferLine]


@router.get("")
async def list_transfers(hub: Hub, _: CurrentCaller, limit: Limit = 100) -> Transfers:
    async with hub.pool.acquire() as connection:
        return Transfers(transfers=await transfers.listed(connection, limit))
