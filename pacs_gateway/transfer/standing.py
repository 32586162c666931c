"""Who sends a study, how does its transfer stand, and where do its objects go?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pacs_gateway.scp.reception import Reception


class Store(Protocol):
    """Where objects go that have come whole: `pacs_gateway.dicomweb.receiving.Posted`."""

    async def reception(self) -> Reception: ...

    async def settled(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Sender:
    """The hub that sends. `name` is that of its token's user, `host` where it calls from."""

    name: str
    facility: str
    host: str = ""

    @property
    def peer(self) -> str:
        return f"{self.name}@{self.host}"


@dataclass(frozen=True, slots=True)
class Stands:
    """How a transfer stands: what is needed, as places in its contents, and how much of that is here.

    refused  objects that cannot be stored, with the reason; the others are
    """

    whole: bool
    needed: Sequence[int] = ()
    offset: int = 0
    refused: Sequence[tuple[int, str]] = ()
