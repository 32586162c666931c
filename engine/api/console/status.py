"""Status: one look at the hub, its channels, endpoints, backlog and incidents."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from engine.api.caller import CurrentCaller
from engine.api.console.alerts import Alert, shown
from engine.api.services import Hub
from engine.clock import CHINA
from engine.store import incidents, status
from engine.store.status import ChannelStatus, EndpointStatus, InboxStatus

router = APIRouter(prefix="/api/status", tags=["console"])
_MOST_INCIDENTS = 50


class Status(BaseModel):
    """The hub at a moment. A channel that was never counted is left out of `channels`."""

    hub: str
    at: datetime
    channels: list[ChannelStatus]
    endpoints: list[EndpointStatus]
    inbox: InboxStatus
    alerts: list[Alert]


@router.get("")
async def hub_status(hub: Hub, _: CurrentCaller) -> Status:
    at = hub.clock()
    async with hub.pool.acquire() as connection:
        return Status(
            hub=hub.config.name,
            at=at,
            channels=await status.channels(connection, list(hub.config.channels), at.astimezone(CHINA).date()),
            endpoints=[
                line
                for line in await status.endpoints(connection, hub.config.destinations)
                if line.endpoint in hub.config.endpoints or line.owed or line.refused
            ],
            inbox=await status.inbox(connection),
            alerts=[
                shown(incident, at)
                for incident in await incidents.listed(connection, open_ones=True, before=None, limit=_MOST_INCIDENTS)
            ],
        )
