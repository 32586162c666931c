"""How do we call another application entity? An association of ours: opened, used one request at a time, released."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from engine.errors import DeliveryError, HutongError
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.scp.service import OutgoingDataSet
from pacs_gateway.upper_layer.association import MAXIMUM_LENGTH, Association
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.errors import UpperLayerError
from pacs_gateway.upper_layer.events import (
    AssociationAccepted,
    AssociationRejected,
    CommandReceived,
    Event,
    ReleaseAgreed,
)
from pacs_gateway.upper_layer.items import PresentationContextRQ, UserInformation
from pacs_gateway.upper_layer.pdus import AAssociateRQ

CONTEXT_LIMIT = 128
"""Presentation contexts of one association: their numbers are odd and fit into a byte."""
CONNECT_TIMEOUT_SECS = 10.0
RELEASE_TIMEOUT_SECS = 5.0
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom we call.

    answer_timeout_secs  for each answer, and until it has taken what is sent to it
    """

    ae_title: str
    host: str
    port: int
    answer_timeout_secs: float


@asynccontextmanager
async def opened(peer: Peer, calling_ae: str, kinds: Sequence[tuple[str, str]]) -> AsyncIterator[Requestor]:
    """An association for pairs of a SOP class and a transfer syntax, a context each, the first that fit; released at
    the end.

    Raises DeliveryError when the peer cannot be reached or does not want it.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECS):
            reader, writer = await asyncio.open_connection(peer.host, peer.port)
    except (OSError, TimeoutError) as error:
        raise DeliveryError(f"the peer cannot be reached: {type(error).__name__}", code="unreachable") from error
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requestor = Requestor(reader, writer, peer.answer_timeout_secs)
    try:
        await requestor.associate(peer.ae_title, calling_ae, kinds[:CONTEXT_LIMIT])
        yield requestor
        await requestor.release()
    finally:
        await requestor.close()


class Requestor:
    """One association. After a DeliveryError of its own nothing more can be asked over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout_secs: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_secs = timeout_secs
        self._association = Association()
        self._contexts: dict[tuple[str, str], int] = {}
        self._broken = False

    async def associate(self, called_ae: str, calling_ae: str, kinds: Sequence[tuple[str, str]]) -> None:
        proposed = tuple(
            PresentationContextRQ(2 * place + 1, sop_class, (transfer_syntax,))
            for place, (sop_class, transfer_syntax) in enumerate(kinds)
        )
        information = UserInformation(MAXIMUM_LENGTH, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)
        with self._of_the_peer():
            self._writer.write(self._association.request(AAssociateRQ(called_ae, calling_ae, proposed, information)))
            event = await self._event()
        if isinstance(event, AssociationRejected):
            self._broken = True
            raise DeliveryError("the peer rejects the association", code="rejected")
        if not isinstance(event, AssociationAccepted):
            raise self._broke("the peer answers something else than the association")
        accepted = self._association.transfer_syntaxes
        self._contexts = {kinds[number // 2]: number for number in accepted if number // 2 < len(kinds)}

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        return (sop_class, transfer_syntax) in self._contexts

    async def store(self, command: CommandSet, transfer_syntax: str, data_set: OutgoingDataSet) -> int:
        """Sends a C-STORE request, for what the peer takes; the status that it answers.

        Raises DeliveryError when there is no answer, StorageError when the data set cannot be read.
        """
        if self._broken:
            raise DeliveryError("the association has ended")
        context_id = self._contexts[command.text(Element.AFFECTED_SOP_CLASS_UID), transfer_syntax]
        with self._of_the_peer():
            await self._send(context_id, command, data_set)
            event = await self._event()
        if (
            not isinstance(event, CommandReceived)
            or event.command.field != CommandField.C_STORE_RSP
            or event.command.number(Element.MESSAGE_ID_BEING_RESPONDED_TO) != command.number(Element.MESSAGE_ID)
            or event.command.has_data_set
        ):
            raise self._broke("the peer answers something else than the request")
        return event.command.number(Element.STATUS)

    async def release(self) -> None:
        """Parts politely; a peer that does not answer is left all the same."""
        if self._broken:
            return
        with suppress(HutongError, OSError, TimeoutError):
            self._writer.write(self._association.release_request())
            async with asyncio.timeout(RELEASE_TIMEOUT_SECS):
                while not isinstance(await self._event(), ReleaseAgreed):
                    pass
            self._broken = True

    async def close(self) -> None:
        """Ends the connection, with an A-ABORT where the association still stands."""
        if not self._broken:
            self._writer.write(self._association.abort())
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECS):
                await self._writer.wait_closed()

    async def _send(self, context_id: int, command: CommandSet, data_set: OutgoingDataSet) -> None:
        begun = False
        try:
            async for piece, last in data_set.pieces():
                if not begun:
                    begun = True
                    self._writer.writelines(self._association.command_set(context_id, command))
                self._writer.writelines(self._association.data(context_id, piece, last=last))
                async with asyncio.timeout(self._timeout_secs):
                    await self._writer.drain()
        except HutongError:
            if begun:  # what was announced cannot be finished
                raise self._broke("an object can no longer be read") from None
            raise

    async def _event(self) -> Event:
        """The next thing that the peer says. Raises OSError, TimeoutError and UpperLayerError."""
        async with asyncio.timeout(self._timeout_secs):
            while (event := self._association.next_event()) is None:
                received = await self._reader.read(min(_READ_BYTES, len(self._association.room())))
                if not received:
                    raise ConnectionResetError("the peer has gone")
                self._association.room()[: len(received)] = received
                self._association.received(len(received))
            return event

    @contextmanager
    def _of_the_peer(self) -> Iterator[None]:
        """What goes wrong with the peer, as ours."""
        try:
            yield
        except TimeoutError:
            raise self._broke("the peer does not answer", code="no-answer") from None
        except OSError as error:
            raise self._broke(f"the connection broke: {type(error).__name__}") from error
        except UpperLayerError as error:
            raise self._broke(f"the peer broke the protocol: {error.message}") from error

    def _broke(self, what: str, code: str = "delivery") -> DeliveryError:
        """The error, after which the connection is only closed."""
        if not self._broken:
            self._broken = True
            self._writer.write(self._association.abort())
        return DeliveryError(what, code=code)
