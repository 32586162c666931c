"""How do we tell a requestor of something that it asked for earlier? Requests of ours over its association."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from engine.errors import DeliveryError
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.errors import UpperLayerError

_MESSAGE_IDS = 0x10000


@dataclass(frozen=True, slots=True)
class OpenLine:
    """Implements `Line`, for one presentation context of an association that `sends` reports."""

    sends: Callable[[int, Mapping[Element, int | str], bytes], asyncio.Future[int]]
    context_id: int

    async def report(self, values: Mapping[Element, int | str], data_set: bytes) -> int:
        return await self.sends(self.context_id, values, data_set)


class Telling:
    """The N-EVENT-REPORT requests of one association: those that wait to be written, and those to be answered."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._numbers = count(1)
        self._unwritten: list[tuple[int, CommandSet, bytes]] = []
        self._unanswered: dict[int, asyncio.Future[int]] = {}
        self.passes_over = False
        """Whether the data set of an answer, which says nothing to us, is still to come."""

    def report(self, context_id: int, values: Mapping[Element, int | str], data_set: bytes) -> asyncio.Future[int]:
        """Queues a report; the status that is answered, or DeliveryError when the peer goes."""
        number = next(self._numbers) % _MESSAGE_IDS
        command = CommandSet.of(
            CommandField.N_EVENT_REPORT_RQ, {Element.MESSAGE_ID: number, **values}, has_data_set=True
        )
        answered: asyncio.Future[int] = self._loop.create_future()
        self._unanswered[number] = answered
        self._unwritten.append((context_id, command, data_set))
        return answered

    def due(self) -> list[tuple[int, CommandSet, bytes]]:
        """What is to be written now, each once."""
        due, self._unwritten = self._unwritten, []
        return due

    def answered(self, command: CommandSet) -> None:
        """Raises UpperLayerError for an answer to nothing."""
        answered = self._unanswered.pop(command.number(Element.MESSAGE_ID_BEING_RESPONDED_TO), None)
        if answered is None:
            raise UpperLayerError("a response comes to something that was not asked")
        self.passes_over = command.has_data_set
        if not answered.done():
            answered.set_result(command.number(Element.STATUS))

    def fail(self) -> None:
        """The peer has gone: no answer comes any more."""
        self._unwritten.clear()
        while self._unanswered:
            _, answered = self._unanswered.popitem()
            if not answered.done():
                answered.set_exception(DeliveryError("the peer has gone"))
                answered.exception()  # looked at: nobody may come to wait for it
