"""What does a connection know of whoever accepted it?"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from pacs_gateway.scp.callers import Callers, Hears
from pacs_gateway.scp.limits import Limits
from pacs_gateway.scp.service import Services

if TYPE_CHECKING:
    from pacs_gateway.scp.connection import Connection


class Listener(Protocol):
    channel: str
    services: Services
    callers: Callers
    hears: Hears
    limits: Limits

    def joined(self, connection: Connection) -> bool:
        """Counts it in; False when it is one too many."""
        ...

    def left(self, connection: Connection) -> None: ...

    def spawn(self, work: Coroutine[Any, Any, None], connection: Connection) -> None:
        """Runs it to its end, whatever becomes of the connection; `failed` is told of what it raises."""
        ...
