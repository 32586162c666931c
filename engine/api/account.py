"""Who am I, and who gets a token? The caller's own account, and the administrator's issuing and revoking."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from engine.api.caller import Caller, CurrentCaller, needs
from engine.api.services import Hub, Services
from engine.config.community import Role
from engine.errors import NotFoundError
from engine.store import access, audit

router = APIRouter(prefix="/api", tags=["account"])
Administrator = Annotated[Caller, Depends(needs(Role.ADMIN))]


class Me(BaseModel):
    name: str
    display: str
    facility: str
    facility_name: str
    roles: list[Role]
    community: str


class Account(BaseModel):
    name: str
    display: str
    facility: str
    roles: list[Role]
    live_tokens: int


class IssuedToken(BaseModel):
    """The token is told once; only its digest is kept."""

    token: str


class Revoked(BaseModel):
    revoked: int


@router.get("/me")
async def me(caller: CurrentCaller, hub: Hub) -> Me:
    facility = hub.config.facilities.get(caller.facility)
    return Me(
        name=caller.name,
        display=caller.display,
        facility=caller.facility,
        facility_name=facility.name if facility else "",
        roles=sorted(caller.roles),
        community=hub.config.name,
    )


@router.get("/users")
async def users(_: Administrator, hub: Hub) -> list[Account]:
    async with hub.pool.acquire() as connection:
        live = await access.live_tokens(connection)
    return [
        Account(
            name=user.name,
            display=user.display,
            facility=user.facility,
            roles=list(user.roles),
            live_tokens=live.get(user.name, 0),
        )
        for user in hub.config.users.values()
    ]


@router.post("/users/{name}/tokens", status_code=201)
async def issue_token(name: str, caller: Administrator, hub: Hub) -> IssuedToken:
    _refuse_unknown(hub, name)
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        token = await access.issue(connection, name, at)
        await audit.write(connection, [audit.Audited(caller.name, "issue-token", f"User/{name}")], at)
    return IssuedToken(token=token)


@router.delete("/users/{name}/tokens")
async def revoke_tokens(name: str, caller: Administrator, hub: Hub) -> Revoked:
    """Ends every token of a user, at once."""
    if name != access.ADMINISTRATOR:
        _refuse_unknown(hub, name)
    at = hub.clock()
    async with hub.pool.acquire() as connection, connection.transaction():
        revoked = await access.revoke_all(connection, name, at)
        await audit.write(connection, [audit.Audited(caller.name, "revoke-tokens", f"User/{name}")], at)
    hub.callers.forget()
    return Revoked(revoked=revoked)


def _refuse_unknown(hub: Services, name: str) -> None:
    if name not in hub.config.users:
        raise NotFoundError("no user of that name is configured")
