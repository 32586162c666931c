"""Who is asking? The hub's boundary has put its caller into the request; here it is only read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from starlette.requests import Request

from engine.config import Role
from engine.errors import AccessError

STORES = frozenset({Role.SENDER, Role.INTEGRATOR})
"""Who may add to the store. Everybody with a token may read, as in the rest of the record; each look is audited."""


class Caller(Protocol):
    """The user of a token. `facility` is empty for one who belongs to none, and stores nothing therefore."""

    @property
    def name(self) -> str: ...

    @property
    def facility(self) -> str: ...

    @property
    def roles(self) -> Collection[Role]: ...


def caller_of(request: Request) -> Caller:
    """Raises AccessError `unauthenticated`."""
    caller: Caller | None = request.scope.get("caller")
    if caller is None:
        raise AccessError("a bearer token is required", code="unauthenticated")
    return caller


def storing_caller_of(request: Request) -> Caller:
    """Raises AccessError unless objects may be stored for the caller's facility."""
    caller = caller_of(request)
    if STORES.isdisjoint(caller.roles):
        raise AccessError(f"needs one of the roles: {', '.join(sorted(STORES))}", code="forbidden")
    if not caller.facility:
        raise AccessError("whose objects these are is not known: the token is of no facility", code="forbidden")
    return caller
