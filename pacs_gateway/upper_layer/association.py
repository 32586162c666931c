"""Where does an association stand, and what do the next bytes mean? One side of it, without I/O.

Bytes are read straight into `room`, P-DATA-TF headers are parsed where they lie, and what a data set consists of is
handed on as slices of that same memory: a byte of an image is not copied on its way through here.

The states are those of PS3.8 §9.2 that a side can see:

    Sta2   AWAITING_REQUEST   an acceptor whose connection is open         Sta3   DECIDING    asked, not yet answered
    Sta5   AWAITING_ANSWER    a requestor that has asked                   Sta6   ESTABLISHED
    Sta7   RELEASING          we asked to part                             Sta8   RELEASE_REQUESTED   the peer did
    Sta13  CLOSED             nothing is read or sent any more
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import Enum

from pacs_gateway.upper_layer import fragments
from pacs_gateway.upper_layer.commands import CommandSet
from pacs_gateway.upper_layer.errors import AbortReason, UpperLayerError
from pacs_gateway.upper_layer.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    CommandReceived,
    DataReceived,
    Event,
    ReleaseAgreed,
    ReleaseRequested,
)
from pacs_gateway.upper_layer.items import ContextResult
from pacs_gateway.upper_layer.pdus import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AbortSource,
    AReleaseRP,
    AReleaseRQ,
    PduType,
)

MAXIMUM_LENGTH = 256 * 1024
"""The longest P-DATA-TF we take, announced to the peer. Nothing is held for it: a PDU is passed on as it comes."""

ASSOCIATE_LIMIT = 512 * 1024
"""128 contexts of 40 transfer syntaxes each are 200 KiB."""

COMMAND_LIMIT = 64 * 1024
"""Command sets are some hundred bytes long; only a list of attributes could grow."""

SMALL_BUFFER = 64 * 1024
"""Of an association that sends little: an echo, a query."""
LARGE_BUFFER = 256 * 1024
"""Of one that filled the buffer: larger reads cost less than more of them, as far as a processor's cache reaches."""

PIECES_LIMIT = 1024
"""Of one event: IOV_MAX of Linux, so that they can be written with one call."""

_PDU_HEADER = struct.Struct(">BxI")
_PDV_HEADER = struct.Struct(">IBB")
_HEADER_BYTES = 6
"""Of both headers."""
_FIXED_BODY_BYTES = 4
_ABORT_HEADER = _PDU_HEADER.pack(PduType.A_ABORT, _FIXED_BODY_BYTES)
_BETWEEN_FRAGMENTS = -1


class State(Enum):
    AWAITING_REQUEST = "Sta2"
    DECIDING = "Sta3"
    AWAITING_ANSWER = "Sta5"
    ESTABLISHED = "Sta6"
    RELEASING = "Sta7"
    RELEASE_REQUESTED = "Sta8"
    CLOSED = "Sta13"


_EXPECTED: dict[State, frozenset[PduType]] = {
    State.AWAITING_REQUEST: frozenset({PduType.A_ASSOCIATE_RQ}),
    State.DECIDING: frozenset(),
    State.AWAITING_ANSWER: frozenset({PduType.A_ASSOCIATE_AC, PduType.A_ASSOCIATE_RJ}),
    State.ESTABLISHED: frozenset({PduType.P_DATA_TF, PduType.A_RELEASE_RQ}),
    State.RELEASING: frozenset({PduType.P_DATA_TF, PduType.A_RELEASE_RQ, PduType.A_RELEASE_RP}),
    State.RELEASE_REQUESTED: frozenset(),
    State.CLOSED: frozenset(),
}
_ASSOCIATE = frozenset({PduType.A_ASSOCIATE_RQ, PduType.A_ASSOCIATE_AC})


class Association:
    """One side of one association; an acceptor until `request` makes it the requestor.

    maximum_length  the longest P-DATA-TF to take; what is announced to the peer must say the same
    """

    def __init__(self, maximum_length: int = MAXIMUM_LENGTH) -> None:
        self.state = State.AWAITING_REQUEST
        self.transfer_syntaxes: dict[int, str] = {}
        """Of the accepted presentation contexts, by their number."""
        self._maximum_length = maximum_length
        self._peer_maximum_length = 0
        # What was read and is not yet parsed: _buffer[_at:_end].
        self._buffer = bytearray(SMALL_BUFFER)
        self._view = memoryview(self._buffer)
        self._at = 0
        self._end = 0
        self._wants_more = False
        # Where within a P-DATA-TF the parsing is.
        self._pdu_left = 0
        self._fragment_left = _BETWEEN_FRAGMENTS
        self._control = 0
        # Where within a message.
        self._command = bytearray()
        self._context_id = 0
        self._data_set_follows = False

    # Bytes in.

    def room(self) -> memoryview:
        """Where to put the next bytes; never empty. What earlier events point to may be overwritten."""
        rest = self._end - self._at
        if self._wants_more or rest == len(self._buffer):
            self._grow()
        elif self._at:
            self._buffer[:rest] = self._buffer[self._at : self._end]
            self._at, self._end = 0, rest
        return self._view[self._end :]

    def received(self, count: int) -> None:
        """So many bytes were put into `room`."""
        self._end += count
        self._wants_more = self._end == len(self._buffer) < LARGE_BUFFER

    def next_event(self) -> Event | None:
        """What the bytes mean, one thing at a time; None when more bytes are needed.

        Raises UpperLayerError, after which only `abort` is of use.
        """
        if self.state is State.CLOSED:
            return self._abort_after_the_end()
        if not self._within_data():
            event = self._next_pdu()
            if event is not None or not self._within_data():
                return event
        return self._next_fragments()

    def _abort_after_the_end(self) -> Event | None:
        """PS3.8 table 9-10: what still comes is ignored, but the peer's abort, after which it waits for our closing."""
        came = bytes(self._view[self._at : min(self._end, self._at + _HEADER_BYTES + _FIXED_BODY_BYTES)])
        header, body = came[:_HEADER_BYTES], came[_HEADER_BYTES:]
        is_abort = _ABORT_HEADER.startswith(header)
        if is_abort and len(body) < _FIXED_BODY_BYTES:
            return None
        self._at = self._end
        return Aborted(AAbort.decode(body)) if is_abort else None

    @property
    def within_message(self) -> bool:
        """Whether a message has begun to arrive and is not whole."""
        return self._within_data() or bool(self._command) or self._data_set_follows

    # Bytes out.

    def request(self, request: AAssociateRQ) -> bytes:
        """Makes this side the requestor."""
        self.state = State.AWAITING_ANSWER
        return request.encode()

    def accept(self, answer: AAssociateAC, request: AAssociateRQ) -> bytes:
        self._establish(answer, request.user_information.maximum_length)
        return answer.encode()

    def reject(self, answer: AAssociateRJ) -> bytes:
        """The peer closes the connection."""
        self.state = State.CLOSED
        return answer.encode()

    def message(self, context_id: int, command: CommandSet, data_set: bytes = b"") -> Iterator[bytes]:
        """The PDUs of a message, in the sizes that the peer takes."""
        return fragments.message(context_id, command, data_set, self._peer_maximum_length)

    def command_set(self, context_id: int, command: CommandSet) -> Iterator[bytes]:
        """The PDUs of a command set whose data set follows piece by piece."""
        return fragments.command_set(context_id, command, self._peer_maximum_length)

    def data(self, context_id: int, piece: bytes, *, last: bool) -> Iterator[bytes]:
        """The PDUs of some of that data set; every piece but the last has an even number of bytes."""
        return fragments.data(context_id, piece, self._peer_maximum_length, last=last)

    def release_request(self) -> bytes:
        self.state = State.RELEASING
        return AReleaseRQ().encode()

    def release_response(self) -> bytes:
        if self.state is not State.RELEASING:  # else both asked at once, and the answer to us is still to come
            self.state = State.CLOSED
        return AReleaseRP().encode()

    def abort(self, error: UpperLayerError | None = None) -> bytes:
        """The A-ABORT for an error of the peer, or for reasons of our own.

        Before an association stands it is the service-user who aborts, later the provider (PS3.8 §9.2.2, AA-1, AA-8).
        """
        source, reason = AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED
        if error is None or self.state is State.AWAITING_REQUEST:
            source = AbortSource.SERVICE_USER
        else:
            reason = error.reason
        self.state = State.CLOSED
        return AAbort(source, reason).encode()

    # Control PDUs.

    def _within_data(self) -> bool:
        return self._pdu_left > 0 or self._fragment_left != _BETWEEN_FRAGMENTS

    def _next_pdu(self) -> Event | None:
        """A PDU other than P-DATA-TF, whole; of a P-DATA-TF the header is checked and passed."""
        if self._end - self._at < _HEADER_BYTES:
            return None
        number, length = _PDU_HEADER.unpack_from(self._buffer, self._at)
        kind = self._expected(number)
        self._check_length(kind, length)
        if kind is PduType.P_DATA_TF:
            self._at += _HEADER_BYTES
            self._pdu_left = length
            return None
        start = self._at + _HEADER_BYTES
        if self._end - start < length:
            return None
        body = bytes(self._view[start : start + length])
        self._at = start + length
        return self._control_event(kind, body)

    def _expected(self, number: int) -> PduType:
        try:
            kind = PduType(number)
        except ValueError:
            raise UpperLayerError(f"PDU type {number:02X}H is none", AbortReason.UNRECOGNIZED_PDU) from None
        if kind not in _EXPECTED[self.state] and kind is not PduType.A_ABORT:
            raise UpperLayerError(f"{kind.name} comes in state {self.state.value}", AbortReason.UNEXPECTED_PDU)
        return kind

    def _check_length(self, kind: PduType, length: int) -> None:
        if kind is PduType.P_DATA_TF:
            if length > self._maximum_length:
                raise UpperLayerError(f"a P-DATA-TF says {length} bytes where {self._maximum_length} were agreed")
            if length < _HEADER_BYTES:
                raise UpperLayerError("a P-DATA-TF holds no fragment")
        elif kind in _ASSOCIATE:
            if length > ASSOCIATE_LIMIT:
                raise UpperLayerError(f"{kind.name} says {length} bytes; {ASSOCIATE_LIMIT} are taken")
        elif length != _FIXED_BODY_BYTES:
            raise UpperLayerError(f"{kind.name} says {length} bytes; it has {_FIXED_BODY_BYTES}")

    def _control_event(self, kind: PduType, body: bytes) -> Event:
        match kind:
            case PduType.A_ASSOCIATE_RQ:
                request = AAssociateRQ.decode(body)
                self.state = State.DECIDING
                return AssociationRequested(request)
            case PduType.A_ASSOCIATE_AC:
                answer = AAssociateAC.decode(body)
                self._establish(answer, answer.user_information.maximum_length)
                return AssociationAccepted(answer)
            case PduType.A_ASSOCIATE_RJ:
                self.state = State.CLOSED
                return AssociationRejected(AAssociateRJ.decode(body))
            case PduType.A_RELEASE_RQ:
                if self.state is State.ESTABLISHED:
                    self.state = State.RELEASE_REQUESTED
                return ReleaseRequested()
            case PduType.A_RELEASE_RP:
                self.state = State.CLOSED
                return ReleaseAgreed()
            case _:
                self.state = State.CLOSED
                return Aborted(AAbort.decode(body))

    def _establish(self, answer: AAssociateAC, peer_maximum_length: int) -> None:
        self._peer_maximum_length = peer_maximum_length
        self.transfer_syntaxes = {
            context.context_id: context.transfer_syntax
            for context in answer.presentation_contexts
            if context.result == ContextResult.ACCEPTANCE
        }
        self.state = State.ESTABLISHED

    # P-DATA-TF.

    def _next_fragments(self) -> Event | None:
        """As much of a message as is there: a whole command set, or pieces of a data set across PDUs."""
        pieces: list[memoryview] = []
        while True:
            if self._fragment_left == _BETWEEN_FRAGMENTS and not self._next_fragment():
                break
            available = min(self._fragment_left, self._end - self._at)
            if available:
                piece = self._view[self._at : self._at + available]
                if self._control & fragments.COMMAND:
                    self._command += piece
                else:
                    pieces.append(piece)
                self._at += available
                self._fragment_left -= available
            if self._fragment_left:
                break
            self._fragment_left = _BETWEEN_FRAGMENTS
            if self._control & fragments.LAST:
                return self._command_event() if self._control & fragments.COMMAND else self._data_event(pieces)
            if len(pieces) == PIECES_LIMIT:
                break
        return DataReceived(pieces, False) if pieces else None

    def _next_fragment(self) -> bool:
        """Passes the header of the next fragment, and that of a P-DATA-TF before it; False when they are not there."""
        if not self._pdu_left:
            if self._end - self._at < _HEADER_BYTES or self._buffer[self._at] != PduType.P_DATA_TF:
                return False
            (_, length) = _PDU_HEADER.unpack_from(self._buffer, self._at)
            self._check_length(PduType.P_DATA_TF, length)
            self._at += _HEADER_BYTES
            self._pdu_left = length
        if self._end - self._at < _HEADER_BYTES:
            return False
        length, context_id, control = _PDV_HEADER.unpack_from(self._buffer, self._at)
        left = self._pdu_left - 4 - length
        if length < 2 or left < 0:
            raise UpperLayerError(f"a fragment says {length} bytes where a P-DATA-TF has {self._pdu_left - 4} left")
        if 0 < left < _HEADER_BYTES:
            raise UpperLayerError("a P-DATA-TF ends within the header of a fragment")
        self._check_order(context_id, control, length - 2)
        self._at += _HEADER_BYTES
        self._pdu_left = left
        self._fragment_left = length - 2
        self._context_id = context_id
        self._control = control
        return True

    def _check_order(self, context_id: int, control: int, size: int) -> None:
        """Fragments of one message come together, under one number, the command's before the data set's (E.1)."""
        if context_id not in self.transfer_syntaxes:
            raise UpperLayerError(f"a fragment comes under presentation context {context_id}, which was not accepted")
        if (self._command or self._data_set_follows) and context_id != self._context_id:
            raise UpperLayerError(
                f"a fragment comes under presentation context {context_id} within a message of {self._context_id}"
            )
        if control & fragments.COMMAND:
            if self._data_set_follows:
                raise UpperLayerError("a command comes where a data set is due")
            if len(self._command) + size > COMMAND_LIMIT:
                raise UpperLayerError(f"a command set is longer than {COMMAND_LIMIT} bytes")
        elif not self._data_set_follows:
            raise UpperLayerError("a data set comes without its command")

    def _command_event(self) -> CommandReceived:
        command = CommandSet.decode(bytes(self._command))
        self._command.clear()
        self._data_set_follows = command.has_data_set
        return CommandReceived(self._context_id, command)

    def _data_event(self, pieces: list[memoryview]) -> DataReceived:
        self._data_set_follows = False
        return DataReceived(pieces, True)

    # The buffer.

    def _grow(self) -> None:
        """Into twice the room; events keep the old memory alive as long as they need it."""
        rest = self._end - self._at
        buffer = bytearray(max(2 * len(self._buffer), SMALL_BUFFER))
        buffer[:rest] = self._view[self._at : self._end]
        self._buffer, self._view = buffer, memoryview(buffer)
        self._at, self._end = 0, rest
        self._wants_more = False
