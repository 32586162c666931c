"""Who is asking, and may they? Every request but the few open ones carries a bearer token of a configured user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from engine.api.services import Services
from engine.config.community import Role
from engine.errors import AccessError
from engine.store.access import ADMINISTRATOR, holder

UNAUTHENTICATED = "unauthenticated"
"""Code of an AccessError: who you are is not known. Any other AccessError means known, but not allowed."""
FORBIDDEN = "forbidden"

_LONGEST_HEADER = 512


@dataclass(frozen=True, slots=True)
class Caller:
    """The user behind a request. `facility` is empty for the administrator, who belongs to none."""

    name: str
    display: str
    facility: str
    roles: frozenset[Role]

    def may(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)


async def caller_by_token(services: Services, authorization: str | None) -> Caller:
    """The user of an Authorization header (RFC 6750 §2.1; tokens in a URL end up in logs, so only there).

    Raises AccessError `unauthenticated`.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_HEADER:
        raise AccessError("a bearer token is required", code=UNAUTHENTICATED)
    if (known := services.callers.get(token)) is not None:
        return known
    begun = services.callers.begin()
    async with services.pool.acquire() as connection:
        name = await holder(connection, token.strip())
    caller = _caller_named(services, name)
    services.callers.put(begun, token, caller)
    return caller


def _caller_named(services: Services, name: str | None) -> Caller:
    if name == ADMINISTRATOR:
        return Caller(ADMINISTRATOR, "管理员", "", frozenset({Role.ADMIN}))
    user = services.config.users.get(name) if name is not None else None
    if user is None:
        raise AccessError("the token is not, or no longer, valid", code=UNAUTHENTICATED)
    return Caller(user.name, user.display, user.facility, frozenset(user.roles))


def caller_of(request: Request) -> Caller:
    caller = request.scope.get("caller")
    if not isinstance(caller, Caller):
        raise AccessError("a bearer token is required", code=UNAUTHENTICATED)
    return caller


CurrentCaller = Annotated[Caller, Depends(caller_of)]
"""A route's parameter: `async def sign(caller: CurrentCaller)`."""


def needs(*roles: Role) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency that lets only these roles in: `caller: Annotated[Caller, Depends(needs(Role.ADMIN))]`."""

    async def check(request: Request) -> Caller:
        caller = caller_of(request)
        if not caller.may(*roles):
            raise AccessError(f"needs one of the roles: {', '.join(roles)}", code=FORBIDDEN)
        return caller

    return check
