"""How do we call another application entity? An association of ours: opened, used one request at a time, released."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from engine.errors import DeliveryError, Disposition, HutongError
from pacs_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pacs_gateway.scp.service import OutgoingDataSet
from pacs_gateway.scu.patience import acknowledged_by_peer, patiently
from pacs_gateway.scu.peer import PENDING_STATUSES, Peer, Proposal, Response, Taker
from pacs_gateway.upper_layer.association import MAXIMUM_LENGTH, Association
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.errors import UpperLayerError
from pacs_gateway.upper_layer.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    CommandReceived,
    DataReceived,
    Event,
    ReleaseAgreed,
)
from pacs_gateway.upper_layer.items import PresentationContextRQ, RoleSelection, UserInformation
from pacs_gateway.upper_layer.pdus import AAssociateRJ, AAssociateRQ

CONTEXT_LIMIT = 128
"""Presentation contexts of one association: their numbers are odd and fit into a byte."""
RELEASE_TIMEOUT_SECS = 5.0
DATA_SET_LIMIT = 16 * 1024 * 1024
"""Of one answer: identifiers are a few kilobytes long, and nobody may fill our memory."""
_READ_BYTES = 64 * 1024
_REJECTED = {
    (1, 1): "no reason given",
    (1, 2): "it does not know DICOM's application context",
    (1, 3): "it does not know the title by which we call ourselves (calling_ae_title)",
    (1, 7): "it does not go by the title by which we call it (ae_title)",
    (2, 2): "it does not speak this version of the protocol",
    (3, 1): "it is too busy",
    (3, 2): "it takes no more associations",
}
"""By source and reason of an A-ASSOCIATE-RJ (PS3.8 §9.3.4)."""


@asynccontextmanager
async def opened(peer: Peer, calling_ae: str, proposals: Sequence[Proposal]) -> AsyncIterator[Requestor]:
    """An association for these presentation contexts, the first that fit; released at the end.

    Raises DeliveryError when the peer cannot be reached or does not want it.
    """
    try:
        async with asyncio.timeout(peer.connect_timeout_secs):
            reader, writer = await asyncio.open_connection(
                peer.host,
                peer.port,
                ssl=peer.tls,
                server_hostname=(peer.server_name or peer.host) if peer.tls is not None else None,
            )
    except (OSError, TimeoutError) as error:
        raise DeliveryError(f"the peer cannot be reached: {type(error).__name__}", code="unreachable") from error
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    requestor = Requestor(reader, writer, peer.answer_timeout_secs)
    try:
        await requestor.associate(peer.ae_title, calling_ae, proposals[:CONTEXT_LIMIT])
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
        self._classes: dict[int, str] = {}
        self._broken = False

    async def associate(self, called_ae: str, calling_ae: str, proposals: Sequence[Proposal]) -> None:
        proposed = tuple(
            PresentationContextRQ(2 * place + 1, one.sop_class, one.transfer_syntaxes)
            for place, one in enumerate(proposals)
        )
        provided = dict.fromkeys(one.sop_class for one in proposals if one.as_provider)
        information = UserInformation(
            MAXIMUM_LENGTH,
            IMPLEMENTATION_CLASS_UID,
            IMPLEMENTATION_VERSION_NAME,
            role_selections=tuple(RoleSelection(sop_class, scu=False, scp=True) for sop_class in provided),
        )
        with self._of_the_peer():
            self._writer.write(self._association.request(AAssociateRQ(called_ae, calling_ae, proposed, information)))
            event = await self._event()
        if isinstance(event, AssociationRejected):
            self._broken = True
            raise DeliveryError(f"the peer rejects the association: {_why(event.answer)}", code="rejected")
        if not isinstance(event, AssociationAccepted):
            raise self._broke("the peer answers something else than the association")
        for number, transfer_syntax in self._association.transfer_syntaxes.items():
            if number // 2 < len(proposals):
                sop_class = proposals[number // 2].sop_class
                self._contexts.setdefault((sop_class, transfer_syntax), number)
                self._classes[number] = sop_class

    def wait_longer(self, timeout_secs: float) -> None:
        """For each answer from now on; some services say nothing until all is done."""
        self._timeout_secs = max(self._timeout_secs, timeout_secs)

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        return (sop_class, transfer_syntax) in self._contexts

    def taken_as(self, sop_class: str) -> tuple[str, ...]:
        """The transfer syntaxes in which the peer takes a class, as they were proposed; none when it does not."""
        return tuple(syntax for (taken, syntax) in self._contexts if taken == sop_class)

    def encoding_of(self, sop_class: str) -> str:
        """The transfer syntax of what is asked of a service. Raises DeliveryError when the peer does not provide it."""
        return self._context_of(sop_class)[1]

    async def store(self, command: CommandSet, transfer_syntax: str, data_set: OutgoingDataSet) -> int:
        """Sends a C-STORE request, for what the peer takes; the status that it answers.

        Raises DeliveryError when there is no answer, StorageError when the data set cannot be read.
        """
        self._check_open()
        context_id = self._contexts[command.text(Element.AFFECTED_SOP_CLASS_UID), transfer_syntax]
        with self._of_the_peer():
            await self._send(context_id, command, data_set)
            return (await self._response(command)).status

    async def ask(self, sop_class: str, command: CommandSet, data_set: bytes = b"") -> Response:
        """Sends a request that has one answer.

        Raises DeliveryError when there is none, and `sop-class-not-taken` when the peer does not provide the class.
        """
        async for response in self.ask_for_many(sop_class, command, data_set):
            return response
        raise self._broke("the peer does not answer")

    async def ask_for_many(
        self, sop_class: str, command: CommandSet, data_set: bytes = b"", taker: Taker | None = None
    ) -> AsyncIterator[Response]:
        """Sends a request whose answers come until one is not pending; the last of them says how it ended.

        taker  takes the objects that the peer sends meanwhile (C-GET)

        Raises as `ask` does.
        """
        self._check_open()
        context_id, _ = self._context_of(sop_class)
        with self._of_the_peer():
            for pdu in self._association.message(context_id, command, data_set):
                self._writer.write(pdu)
            await self._drained()
        while True:
            with self._of_the_peer():
                response = await self._response(command, taker)
            yield response
            if response.status not in PENDING_STATUSES:
                return

    async def cancel(self, sop_class: str, message_id: int) -> None:
        """Asks for no more answers; the last one still comes."""
        context_id, _ = self._context_of(sop_class)
        command = CommandSet.of(CommandField.C_CANCEL_RQ, {Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id})
        for pdu in self._association.message(context_id, command):
            self._writer.write(pdu)

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
                await self._drained()
        except HutongError:
            if begun:  # what was announced cannot be finished
                raise self._broke("an object can no longer be read") from None
            raise

    def _check_open(self) -> None:
        if self._broken:
            raise DeliveryError("the association has ended")

    def _context_of(self, sop_class: str) -> tuple[int, str]:
        for (taken, transfer_syntax), number in self._contexts.items():
            if taken == sop_class:
                return number, transfer_syntax
        raise DeliveryError(
            "the peer does not provide this service", disposition=Disposition.HOLD, code="sop-class-not-taken"
        )

    async def _response(self, request: CommandSet, taker: Taker | None = None) -> Response:
        """The next answer to a request; objects that come before it are taken."""
        while True:
            event = await self._event()
            if isinstance(event, Aborted):
                self._broken = True
                raise DeliveryError("the peer aborted the association", code="aborted")
            if not isinstance(event, CommandReceived):
                raise self._broke("the peer says something else than an answer")
            if event.command.is_request and event.command.field == CommandField.C_STORE_RQ and taker is not None:
                await self._take(event.context_id, event.command, taker)
                continue
            if event.command.field != request.field | 0x8000 or event.command.number(
                Element.MESSAGE_ID_BEING_RESPONDED_TO
            ) != request.number(Element.MESSAGE_ID):
                raise self._broke("the peer answers something else than the request")
            data_set = await self._data_set() if event.command.has_data_set else b""
            return Response(event.command, data_set, self._association.transfer_syntaxes[event.context_id])

    async def _data_set(self) -> bytes:
        gathered = bytearray()
        async for pieces in self._pieces():
            for piece in pieces:
                if len(gathered) + len(piece) > DATA_SET_LIMIT:
                    raise self._broke("the peer answers with a data set that is too long")
                gathered += piece
        return bytes(gathered)

    async def _take(self, context_id: int, command: CommandSet, taker: Taker) -> None:
        """One object that the peer sends to us, and our answer."""
        taking = taker.begin(command, self._classes[context_id], self._association.transfer_syntaxes[context_id])
        try:
            if command.has_data_set:
                async for pieces in self._pieces():
                    taking.write(pieces)
        except BaseException:
            taking.abandon()
            raise
        answer = await taking.answer()
        for pdu in self._association.message(context_id, answer):
            self._writer.write(pdu)
        await self._drained()

    async def _pieces(self) -> AsyncIterator[Sequence[memoryview]]:
        """A data set as it comes; what was given is overwritten by the next."""
        while True:
            event = await self._event()
            if isinstance(event, Aborted):
                self._broken = True
                raise DeliveryError("the peer aborted the association", code="aborted")
            if not isinstance(event, DataReceived):
                raise self._broke("the peer says something else where a data set is due")
            yield event.pieces
            if event.last:
                return

    async def _drained(self) -> None:
        await patiently(self._writer.drain, self._timeout_secs, self._acknowledged)

    async def _event(self) -> Event:
        """The next thing that the peer says. Raises OSError, TimeoutError and UpperLayerError."""
        return await patiently(self._next_event, self._timeout_secs, self._acknowledged)

    async def _next_event(self) -> Event:
        while (event := self._association.next_event()) is None:
            received = await self._reader.read(min(_READ_BYTES, len(self._association.room())))
            if not received:
                raise ConnectionResetError("the peer has gone")
            self._association.room()[: len(received)] = received
            self._association.received(len(received))
        return event

    def _acknowledged(self) -> int:
        return acknowledged_by_peer(self._writer.get_extra_info("socket"))

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


def _why(answer: AAssociateRJ) -> str:
    return _REJECTED.get((answer.source, answer.reason), "for no reason that DICOM names")
