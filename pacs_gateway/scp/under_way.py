"""Which request of a peer is being performed? One at a time, from its command to its last answer."""

from __future__ import annotations

from collections.abc import Sequence

from pacs_gateway.scp.service import Operation
from pacs_gateway.upper_layer.commands import CommandSet, Element


class UnderWay:
    """The request under way on one association: its operation while it arrives, then whether it is being answered."""

    def __init__(self) -> None:
        self.context_id = 0
        self.answering = False
        self.cancelled = False
        """Whether the peer has sent a C-CANCEL for it."""
        self._command: CommandSet | None = None
        self._operation: Operation | None = None

    def begin(self, context_id: int, command: CommandSet, operation: Operation) -> None:
        self.context_id = context_id
        self.cancelled = False
        self._command = command
        self._operation = operation

    def write(self, pieces: Sequence[memoryview]) -> None:
        """The next bytes of its data set."""
        assert self._operation is not None, "a data set belongs to a request"
        self._operation.write(pieces)

    def whole(self) -> Operation:
        """Nothing more of it comes: hands out what is to be answered now."""
        assert self._operation is not None, "a request is performed by an operation"
        operation, self._operation = self._operation, None
        self.answering = True
        return operation

    def cancel(self, asked: CommandSet) -> None:
        """Of a request that is already answered nothing is left to cancel."""
        number = asked.number(Element.MESSAGE_ID_BEING_RESPONDED_TO)
        if self.answering and self._command is not None and number == self._command.number(Element.MESSAGE_ID):
            self.cancelled = True

    def abandon(self) -> None:
        """The peer has gone: what has not come by now never will. What is being answered goes on."""
        operation, self._operation = self._operation, None
        if operation is not None:
            operation.abandon()
