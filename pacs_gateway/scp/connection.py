"""What happens on one connection? Bytes to the codec, requests to services one at a time, their answers back."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import cast

from engine.errors import DeliveryError
from pacs_gateway.scp import admission
from pacs_gateway.scp.admission import Admitted, Calling, Rejected
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.listener import Listener
from pacs_gateway.scp.objects_back import ObjectsBack
from pacs_gateway.scp.service import Line, Operation, OutgoingDataSet, Request
from pacs_gateway.scp.silence import Silence
from pacs_gateway.scp.telling import OpenLine, Telling
from pacs_gateway.scp.under_way import UnderWay
from pacs_gateway.scp.unrecognized import Unrecognized
from pacs_gateway.upper_layer.association import Association, State
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.errors import AbortReason, UpperLayerError
from pacs_gateway.upper_layer.events import (
    Aborted,
    AssociationRequested,
    CommandReceived,
    DataReceived,
    Event,
    ReleaseRequested,
)
from pacs_gateway.upper_layer.pdus import AAssociateRJ, AAssociateRQ

_log = logging.getLogger(__name__)

_WRITE_BUFFER_BYTES = 256 * 1024
"""Answers that a peer has not read; beyond it the service waits."""


class Connection(asyncio.BufferedProtocol):
    """One association as its acceptor. It is also the `Answers` of the request that is being performed."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._association = Association()
        self._transport: asyncio.Transport | None = None
        self._one_too_many = False
        self._host = ""
        self._peer = ""
        self._caller: Caller | None = None
        self._called_ae = ""
        self._abstract_syntaxes: dict[int, str] = {}
        self._telling = Telling(loop)
        self._under_way = UnderWay()
        # What came while a request was being answered, and waits for the end of that; meanwhile nothing is read.
        self._held: Event | None = None
        self._reading = True
        self._ending = False
        self._silence = Silence(listener.limits, loop.time())
        self._writable = asyncio.Event()
        self._writable.set()
        self._objects_back = ObjectsBack(
            self._association, self._write, self._writable, self._abort, listener.limits.stall_timeout_secs
        )

    # What the loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        if isinstance(name, tuple):
            self._host = str(name[0])
            self._peer = f"{name[0]}:{name[1]}"
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # A response is small: Nagle's algorithm would hold it back until the peer acknowledges what came before.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._one_too_many = not self._listener.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None and self._association.within_message:
            self._warn("left within a request")
        self._transport = None
        self._abandon()
        self._writable.set()
        self._listener.left(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._association.room()

    def buffer_updated(self, nbytes: int) -> None:
        self._silence.heard(self._loop.time())
        self._association.received(nbytes)
        self._take()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()
        self._silence.stopped_reading(self._loop.time())

    def resume_writing(self) -> None:
        self._writable.set()
        self._silence.reads_again()

    # What the listener tells.

    def check_time(self, now: float) -> None:
        """Ends a connection whose peer has been silent, or has not read, for too long."""
        ending = self._silence.broken(
            now, self._association.state, busy=self._busy, within_message=self._association.within_message
        )
        if ending is not None:
            self.drop() if ending.at_once else self._abort(ending)

    def end(self) -> None:
        """Lets a request that has begun be answered, then ends the association."""
        self._ending = True
        if not self._busy and not self._association.within_message:
            self._part()

    def failed(self, error: BaseException) -> None:
        """A service broke: its peer must not wait for an answer that never comes."""
        self._abort(f"met a fault of ours: {type(error).__name__}")

    def drop(self) -> None:
        """Closes at once, without a word."""
        if self._transport is not None:
            self._transport.abort()

    # The `Answers` of the request being performed.

    @property
    def cancelled(self) -> bool:
        return self._under_way.cancelled or self._transport is None or self._silence.closed

    async def send(self, response: CommandSet, data_set: bytes = b"") -> None:
        for pdu in self._association.message(self._under_way.context_id, response, data_set):
            self._write(pdu)
        if data_set:
            await asyncio.sleep(0)  # many answers must not keep others from theirs, nor a cancellation from coming in
        if not self._writable.is_set():
            await self._writable.wait()

    def line(self) -> Line:
        return OpenLine(self.report, self._under_way.context_id)

    def report(self, context_id: int, values: Mapping[Element, int | str], data_set: bytes) -> asyncio.Future[int]:
        """Sends an N-EVENT-REPORT, after the response that is being sent if there is one; the status of its answer.

        Raises DeliveryError when there is no association any more, also later, through what it returns.
        """
        if self._transport is None or self._association.state is not State.ESTABLISHED:
            raise DeliveryError("the peer has gone")
        answered = self._telling.report(context_id, values, data_set)
        self._tell()
        return answered

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        return self._objects_back.takes(sop_class, transfer_syntax)

    async def store(self, command: CommandSet, transfer_syntax: str, data_set: OutgoingDataSet) -> int:
        if self.cancelled:
            raise DeliveryError("the peer has gone, or has cancelled its request")
        return await self._objects_back.store(command, transfer_syntax, data_set)

    # Events.

    @property
    def _busy(self) -> bool:
        """Whether something is being decided or answered, so that what comes next has to wait."""
        return self._under_way.answering or self._association.state is State.DECIDING

    def _take(self) -> None:
        """Acts on everything that is there, until something must wait."""
        try:
            while self._transport is not None and self._association.state is not State.DECIDING:
                event, self._held = self._held or self._association.next_event(), None
                if event is None:
                    break
                if self._under_way.answering and not self._interrupts(event):
                    self._held = event
                    break
                self._act(event)
        except UpperLayerError as error:
            self._abort(f"broke the protocol: {error.message}", error)
        self._read_or_wait()

    def _interrupts(self, event: Event) -> bool:
        """Whether it is acted on although a request is being answered."""
        if isinstance(event, CommandReceived):
            return event.command.field == CommandField.C_CANCEL_RQ or not event.command.is_request
        return isinstance(event, Aborted) or (isinstance(event, DataReceived) and self._telling.passes_over)

    def _act(self, event: Event) -> None:
        match event:
            case DataReceived(pieces, last):
                self._data(pieces, last)
            case CommandReceived(context_id, command):
                self._request(context_id, command)
            case AssociationRequested(request):
                self._listener.spawn(self._decide(request), self)
            case ReleaseRequested():
                self._abandon()
                self._write(self._association.release_response())
                self._silence.close(self._loop.time())
            case Aborted():
                self._abandon()
                self.drop()
            case _:
                raise UpperLayerError(f"{type(event).__name__} is nothing to an acceptor", AbortReason.UNEXPECTED_PDU)

    async def _decide(self, request: AAssociateRQ) -> None:
        """Answers A-ASSOCIATE-RQ."""
        self._peer = f"{_printable(request.calling_ae_title)}@{self._peer}"
        certificate = self._transport.get_extra_info("peercert") if self._transport is not None else None
        calling = Calling(self._host, certificate, self._one_too_many)
        listener = self._listener
        decided = await admission.decide(request, calling, listener.callers, listener.services, listener.hears)
        if self._association.state is State.DECIDING:  # else it was ended meanwhile
            if isinstance(decided, Rejected):
                self._reject(decided.answer, decided.why)
            else:
                self._admit(request, decided)
        self._silence.heard(self._loop.time())
        self._take()

    def _admit(self, request: AAssociateRQ, admitted: Admitted) -> None:
        self._caller = admitted.caller
        self._called_ae = request.called_ae_title
        self._abstract_syntaxes = {one.context_id: one.abstract_syntax for one in request.presentation_contexts}
        self._write(self._association.accept(admitted.answer, request))
        self._objects_back.accepted(admitted.answer, self._abstract_syntaxes)
        if self._ending:
            self._part()

    def _request(self, context_id: int, command: CommandSet) -> None:
        if command.field == CommandField.N_EVENT_REPORT_RSP:
            self._telling.answered(command)
            return
        if not command.is_request:
            self._objects_back.answered(command)
            return
        if command.field == CommandField.C_CANCEL_RQ:
            if command.has_data_set:
                raise UpperLayerError("a C-CANCEL announces a data set")
            self._under_way.cancel(command)
            return
        assert self._caller is not None, "a request comes from somebody who was let in"
        sop_class = self._abstract_syntaxes[context_id]
        service = self._listener.services.find(command.field, sop_class, self._caller)
        operation: Operation = Unrecognized(command)
        if service is not None:
            transfer_syntax = self._association.transfer_syntaxes[context_id]
            operation = service.begin(
                Request(command, sop_class, transfer_syntax, self._caller, self._called_ae, self._peer)
            )
        self._under_way.begin(context_id, command, operation)
        if not command.has_data_set:
            self._perform()

    def _data(self, pieces: Sequence[memoryview], last: bool) -> None:
        if self._telling.passes_over:
            self._telling.passes_over = not last
            return
        if pieces:
            self._under_way.write(pieces)
        if last:
            self._perform()

    def _perform(self) -> None:
        self._listener.spawn(self._answer(self._under_way.whole()), self)

    async def _answer(self, operation: Operation) -> None:
        await operation.answer(self)
        self._under_way.answering = False
        self._silence.heard(self._loop.time())
        self._tell()
        if self._ending:
            self._part()
        else:
            self._take()

    def _tell(self) -> None:
        """Messages must not mix: a report waits for the end of what is being answered."""
        if self._under_way.answering:
            return
        for context_id, command, data_set in self._telling.due():
            for pdu in self._association.message(context_id, command, data_set):
                self._write(pdu)

    # Ends.

    def _reject(self, answer: AAssociateRJ, why: str) -> None:
        """The peer closes the connection: were we to, what it has sent meanwhile could cost it the answer."""
        self._warn(f"is rejected: {why}")
        self._write(self._association.reject(answer))
        self._silence.close(self._loop.time())

    def _abort(self, why: str, error: UpperLayerError | None = None) -> None:
        """Here too the peer closes."""
        if not self._silence.closed:
            self._warn(f"is aborted: it {why}")
            self._abandon()
            self._write(self._association.abort(error))
            self._silence.close(self._loop.time())
            self._read_or_wait()

    def _part(self) -> None:
        """Ends an association of which nothing is expected any more."""
        if self._transport is not None and not self._silence.closed:
            self._write(self._association.abort())
            self._silence.close(self._loop.time())
            self._transport.close()

    def _abandon(self) -> None:
        self._held = None
        self._telling.fail()
        self._objects_back.fail()
        self._under_way.abandon()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._silence.closed:
            self._transport.write(data)

    def _read_or_wait(self) -> None:
        """Reads, or does not, as the state asks. Once closed it reads on, for the peer's end of the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        reading = self._held is None and self._association.state is not State.DECIDING
        if reading != self._reading:
            self._reading = reading
            (transport.resume_reading if reading else transport.pause_reading)()

    def _warn(self, what: str) -> None:
        _log.warning("channel %s: %s %s", self._listener.channel, self._peer, what)


def _printable(ae_title: str) -> str:
    """As it may stand in a log: a stranger chose it."""
    return "".join(character if character.isprintable() else "?" for character in ae_title)
