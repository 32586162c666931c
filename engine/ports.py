"""What must an adapter implement? The Protocols between the core and the outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from engine.envelope import Kind


@dataclass(frozen=True, slots=True)
class Accepted:
    """What `accept` returns once the flush that covers the payload has returned: the bytes to answer with."""

    envelope_id: UUID
    acknowledgment: bytes
    repeat: bool = False


class Intake(Protocol):
    """Takes a payload from a receiver; durable on return.

    Raises StorageError when it could not be persisted: no acknowledgment may leave, the connection closes.
    """

    async def accept(self, channel: str, peer: str, payload: bytes) -> Accepted: ...


class Receiver(Protocol):
    """One configured inbound flow that listens."""

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        ...

    async def start(self) -> None: ...

    async def close(self) -> None:
        """Stops listening; what was accepted is answered first, within a grace period."""
        ...


class Sender(Protocol):
    """One way out to an endpoint. Errors become DeliveryError here, with their disposition."""

    async def send(self, payload: bytes, control_id: str) -> bytes:
        """Sends these exact bytes and returns the receipt's bytes, only when it proves acceptance of control_id.

        Raises DeliveryError: RETRY (unreachable, time-out, a passing error code, an answer to another message),
        HOLD (the other side refused for good).
        """
        ...

    async def close(self) -> None: ...


class ObjectStore(Protocol):
    """Where finished objects live. Keys are relative paths without `..`."""

    async def put(self, key: str, source: Path) -> None: ...

    async def path(self, key: str) -> Path: ...


__all__ = ["Accepted", "Intake", "Kind", "ObjectStore", "Receiver", "Sender"]
