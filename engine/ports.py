"""What must an adapter implement? The Protocols between the core and the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol
from uuid import UUID

from engine.codecs.er7_header import Header


@dataclass(frozen=True, slots=True)
class Accepted:
    """A payload whose flush has returned: its envelope, and the bytes to answer with."""

    envelope_id: UUID
    acknowledgment: bytes


OnDone = Callable[[bytes | None], None]
"""Called once, with the bytes to answer, none when the sender wants no answer; None when nothing may be answered and
the connection closes."""


class Intake(Protocol):
    """Takes payloads from receivers."""

    def submit(self, channel: str, peer: str, payload: bytes, on_done: OnDone) -> None:
        """Takes one payload; calls on_done when the flush that covers it has returned, or with None when none did."""
        ...


class Queries(Protocol):
    """Answers questions about what is recorded, at once; nothing of a question is journaled."""

    def takes(self, header: Header) -> bool:
        """Whether a message is a question, which it can answer or refuse."""
        ...

    async def answer(
        self, *, channel: str, facility: str, peer: str, payload: bytes, header: Header, control_id: str, at: datetime
    ) -> bytes:
        """The response, which names itself by control_id; whatever goes wrong is told in it."""
        ...


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


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished object on its way into the object store.

    key        relative path without `..`
    stands_in  tells whether a file holds it, read from the first byte: its data set, behind whatever head
    opened     opens its file, to be read from the first byte
    """

    key: str
    length: int
    stands_in: Callable[[BinaryIO], bool]
    opened: Callable[[], BinaryIO]


class ObjectStore(Protocol):
    """Where finished objects live. Blocking: its methods belong in threads."""

    def put(self, objects: Sequence[Finished]) -> None:
        """On return every object stands there, durable, read back and of its hash; one that stood there is left.

        Raises StorageError (no room, unreachable, another hash); some of them may stand then.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """An object's file, to be read in threads too. Raises NotFoundError, and StorageError where it cannot be read
        now; so may its reads."""
        ...
