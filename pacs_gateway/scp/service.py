"""What is a service? Something that answers requests of some SOP classes; each stands in a file of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pacs_gateway.scp.callers import Caller
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its data set still to come.

    sop_class        the abstract syntax of its presentation context
    transfer_syntax  of its data set, and of the data sets of its responses
    called_ae        what the caller calls us, which may be anything
    peer             `AET@host:port`, safe to write into logs
    """

    command: CommandSet
    sop_class: str
    transfer_syntax: str
    caller: Caller
    called_ae: str
    peer: str


class OutgoingDataSet(Protocol):
    """A data set to be sent, read as it goes."""

    def pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        """At least one piece, and whether it is the last; every other has an even number of bytes.

        Raises StorageError when it can no longer be read.
        """
        ...


class Line(Protocol):
    """A way to tell the requestor of something later, for as long as its association stands."""

    async def report(self, values: Mapping[Element, int | str], data_set: bytes) -> int:
        """Sends an N-EVENT-REPORT under the presentation context of the request; the status that is answered.

        Waits for an answer without a limit. Raises DeliveryError when the association ends instead.
        """
        ...


class Answers(Protocol):
    """The way back to the requestor."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants more answers: a C-CANCEL came, or the peer has left."""
        ...

    async def send(self, response: CommandSet, data_set: bytes = b"") -> None:
        """Waits until the peer can take more. Says nothing of a peer that has left."""
        ...

    def line(self) -> Line:
        """May be kept after the request is answered."""
        ...

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        """Whether the requestor is a provider of this storage class too, in this encoding (C-GET)."""
        ...

    async def store(self, command: CommandSet, transfer_syntax: str, data_set: OutgoingDataSet) -> int:
        """Sends it a C-STORE request, for what it takes; the status that it answers.

        Raises DeliveryError when it leaves, or falls silent, instead; StorageError when the data set cannot be read.
        """
        ...


class Operation(Protocol):
    """One request being performed. Its data set comes through `write`, then exactly one of the other two."""

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Takes the next bytes of the data set; must not keep the views."""
        ...

    async def answer(self, answers: Answers) -> None:
        """The request is whole: performs it and sends every response. Other requests of the peer wait meanwhile."""
        ...

    def abandon(self) -> None:
        """The association ended before the request was whole."""
        ...


class Service(Protocol):
    @property
    def request(self) -> CommandField:
        """Which request it answers."""
        ...

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        """In which encodings this caller may use the class; none when it may not, or when the class is not ours."""
        ...

    def begin(self, request: Request) -> Operation: ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that one application entity of ours provides."""

    provided: tuple[Service, ...]

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> frozenset[str]:
        return frozenset().union(*(service.transfer_syntaxes(sop_class, caller) for service in self.provided))

    def find(self, field: int, sop_class: str, caller: Caller) -> Service | None:
        """Who answers such a request; None when nobody does."""
        return next(
            (
                service
                for service in self.provided
                if service.request == field and service.transfer_syntaxes(sop_class, caller)
            ),
            None,
        )


_ECHOED = (Element.AFFECTED_SOP_CLASS_UID, Element.AFFECTED_SOP_INSTANCE_UID)


def response(request: CommandSet, status: int, comment: str = "", *, has_data_set: bool = False) -> CommandSet:
    """The response to a request: its number with the highest bit set, and what it was about."""
    values: dict[Element, int | str] = {
        Element.MESSAGE_ID_BEING_RESPONDED_TO: request.number(Element.MESSAGE_ID),
        Element.STATUS: status,
    }
    values |= {element: request.text(element) for element in _ECHOED if request.has(element)}
    if comment:
        values[Element.ERROR_COMMENT] = comment
    return CommandSet.of(request.field | 0x8000, values, has_data_set=has_data_set)
