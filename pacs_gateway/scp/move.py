"""Where are stored objects to be sent? C-MOVE of the patient and study root (PS3.4 C.4.2), to entities of the channel.

A destination is an entry with an address and a port. It gets an object in the transfer syntax in which it came, its
bytes untouched, or without compression when it does not take that (PS3.5 §10.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import count

from engine.config import DicomChannel
from engine.errors import DeliveryError, HutongError
from engine.identifiers import ae_destination
from engine.store.imaging_query import Content
from pacs_gateway import status
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.models import MOVE
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.retrieving import Retrieval, store_request
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.sending.proposing import Kind, groups_of_kinds
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, Element


class Move:
    """Implements `Service`."""

    request = CommandField.C_MOVE_RQ

    def __init__(
        self, channel: DicomChannel, destinations: Mapping[str, Peer], archive: Archive, encoder: Encoder
    ) -> None:
        self._channel = channel
        self._archive = archive
        self._encoder = encoder
        self._destinations = destinations

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class in MOVE else ()

    def begin(self, request: Request) -> Operation:
        return _Moving(self._channel, request, self._archive, self._encoder, self._destinations)


class _Moving(Retrieval):
    def __init__(
        self,
        channel: DicomChannel,
        request: Request,
        archive: Archive,
        encoder: Encoder,
        destinations: Mapping[str, Peer],
    ) -> None:
        super().__init__(channel.name, request, MOVE[request.sop_class], archive)
        self._ae_title = channel.ae_title
        self._encoder = encoder
        self._destination = destinations.get(_named(channel, request))

    async def answer(self, answers: Answers) -> None:
        command = self._request.command
        if self._destination is None:
            await answers.send(response(command, status.DESTINATION_UNKNOWN, "no entry of this channel says where"))
            return
        try:
            query = self.query()
            keys = await self.keys(query)
            kinds = await self._archive.kinds(query) if keys else []
            async with AsyncExitStack() as stack:
                associations = _Associations(stack, self._destination, self._ae_title, kinds)
                await self.give(keys, _There(associations, self._encoder, self._request), answers)
        except HutongError as error:
            await self.refuse(error, answers)


class _Associations:
    """With one destination: one, unless there are more kinds of objects than one has contexts for.

    Each is opened for the first object that needs it, and stays until the end of the stack. A destination that cannot
    be reached is called once.
    """

    def __init__(self, stack: AsyncExitStack, destination: Peer, ae_title: str, kinds: Sequence[Kind]) -> None:
        self._stack = stack
        self._destination = destination
        self._ae_title = ae_title
        self._groups = list(groups_of_kinds(kinds))
        self._opened: dict[int, Requestor] = {}
        self._failure: DeliveryError | None = None

    async def for_kind(self, kind: Kind) -> Requestor:
        """Raises DeliveryError."""
        if self._failure is not None:
            raise self._failure
        group = next((at for at, (_, kinds) in enumerate(self._groups) if kind in kinds), None)
        if group is None:
            raise DeliveryError("the object is stored in another encoding than it was a moment ago")
        if group not in self._opened:
            self._opened[group] = await self._open(self._groups[group][0])
        return self._opened[group]

    async def _open(self, proposals: Sequence[Proposal]) -> Requestor:
        try:
            return await self._stack.enter_async_context(opened(self._destination, self._ae_title, proposals))
        except DeliveryError as error:
            self._failure = error
            raise


def _named(channel: DicomChannel, request: Request) -> str:
    """Whom the request wants to be sent to. Who names its own title means itself, and none that shares the title."""
    caller, title = request.caller, request.command.text(Element.MOVE_DESTINATION)
    return caller.destination if title == caller.ae_title else ae_destination(channel.name, title)


class _There:
    """Over associations with the destination. Implements `Way`."""

    def __init__(self, associations: _Associations, encoder: Encoder, request: Request) -> None:
        self._associations = associations
        self._encoder = encoder
        self._priority = request.command.number(Element.PRIORITY)
        self._originator: dict[Element, int | str] = {
            Element.MOVE_ORIGINATOR_AE_TITLE: request.caller.ae_title,
            Element.MOVE_ORIGINATOR_MESSAGE_ID: request.command.number(Element.MESSAGE_ID),
        }
        self._numbers = count(1)

    async def give(self, content: Content) -> int:
        requestor = await self._associations.for_kind((content.sop_class, content.transfer_syntax))
        encoded = await self._encoder.encoded(content, requestor)
        command = store_request(next(self._numbers), content, self._priority, self._originator)
        return await requestor.store(command, encoded.transfer_syntax, encoded.data_set)
