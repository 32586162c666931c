"""Where are stored objects to be sent? C-MOVE of the patient and study root (PS3.4 C.4.2), to entities of the channel.

A destination is an entry with an address and a port. It gets an object in the transfer syntax in which it came, its
bytes untouched.
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
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.retrieving import Retrieval, Way, store_request
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, Element


class Move:
    """Implements `Service`."""

    request = CommandField.C_MOVE_RQ

    def __init__(self, channel: DicomChannel, archive: Archive) -> None:
        self._channel = channel
        self._archive = archive
        self._destinations = {
            channel.destination_of(entry): Peer(entry.ae_title, entry.address, entry.port, channel.stall_timeout_secs)
            for entry in channel.ae_entries
            if entry.address is not None and entry.port is not None
        }

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class in MOVE else ()

    def begin(self, request: Request) -> Operation:
        return _Moving(self._channel, request, self._archive, self._destinations)


class _Moving(Retrieval):
    def __init__(
        self, channel: DicomChannel, request: Request, archive: Archive, destinations: Mapping[str, Peer]
    ) -> None:
        super().__init__(channel.name, request, MOVE[request.sop_class], archive)
        self._ae_title = channel.ae_title
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
                await self.give(keys, await self._way(stack, self._destination, kinds), answers)
        except HutongError as error:
            await self.refuse(error, answers)

    async def _way(self, stack: AsyncExitStack, destination: Peer, kinds: Sequence[tuple[str, str]]) -> Way:
        """To the destination, or nowhere, when it cannot be reached or when there is nothing to be sent."""
        if not kinds:
            return _Nowhere("there is nothing to be sent")
        try:
            proposals = [Proposal(sop_class, (transfer_syntax,)) for sop_class, transfer_syntax in kinds]
            requestor = await stack.enter_async_context(opened(destination, self._ae_title, proposals))
        except DeliveryError as error:
            return _Nowhere(error.message)
        return _There(requestor, self._archive, self._request)


def _named(channel: DicomChannel, request: Request) -> str:
    """Whom the request wants to be sent to. Who names its own title means itself, and none that shares the title."""
    caller, title = request.caller, request.command.text(Element.MOVE_DESTINATION)
    return caller.destination if title == caller.ae_title else ae_destination(channel.name, title)


class _There:
    """Over an association with the destination. Implements `Way`."""

    def __init__(self, requestor: Requestor, archive: Archive, request: Request) -> None:
        self._requestor = requestor
        self._archive = archive
        self._priority = request.command.number(Element.PRIORITY)
        self._originator: dict[Element, int | str] = {
            Element.MOVE_ORIGINATOR_AE_TITLE: request.caller.ae_title,
            Element.MOVE_ORIGINATOR_MESSAGE_ID: request.command.number(Element.MESSAGE_ID),
        }
        self._numbers = count(1)

    async def give(self, content: Content) -> int:
        if not self._requestor.takes(content.sop_class, content.transfer_syntax):
            raise DeliveryError("the destination does not take the class in the encoding in which it is stored")
        command = store_request(next(self._numbers), content, self._priority, self._originator)
        data_set = StoredDataSet(self._archive.objects, content)
        return await self._requestor.store(command, content.transfer_syntax, data_set)


class _Nowhere:
    """Implements `Way`."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def give(self, content: Content) -> int:
        raise DeliveryError(self._why)
