"""What does the API work with? Wired by engine/cli/assembly/, handed to routes as a dependency."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from engine.clock import Clock
from engine.config.community import Community
from engine.mapping import MappingSet
from engine.store.database import Pool
from engine.store.remembered import Remembered

if TYPE_CHECKING:
    from engine.api.caller import Caller

CALLERS_REMEMBERED = 1000
CALLERS_REMEMBERED_SECS = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a route may need; nothing of the API starts or stops anything.

    pool         json columns come and go as text, so decimals keep their digits
    mapping_set  rules compiled once, for what the centre writes to requesters
    callers      by their tokens; trusted by whoever also has it told of revocations
    """

    pool: Pool
    config: Community
    clock: Clock
    mapping_set: MappingSet
    callers: Remembered[str, Caller] = field(
        default_factory=lambda: Remembered(CALLERS_REMEMBERED, CALLERS_REMEMBERED_SECS)
    )


def services_of(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


Hub = Annotated[Services, Depends(services_of)]
"""A route's parameter: `async def worklist(hub: Hub)`."""
