"""What does the peer say to an object that was sent to it? The answer to a C-STORE request of ours, waited for."""

from __future__ import annotations

import asyncio

from engine.errors import DeliveryError
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.errors import UpperLayerError


class StoreAnswer:
    """Of one request."""

    def __init__(self, request: CommandSet, loop: asyncio.AbstractEventLoop) -> None:
        self._message_id = request.number(Element.MESSAGE_ID)
        self._status: asyncio.Future[int] = loop.create_future()

    def answered(self, command: CommandSet) -> None:
        """Raises UpperLayerError for what is no answer to this request."""
        if (
            command.field != CommandField.C_STORE_RSP
            or command.number(Element.MESSAGE_ID_BEING_RESPONDED_TO) != self._message_id
            or self._status.done()
        ):
            raise UpperLayerError("a response comes to something that was not asked")
        if command.has_data_set:
            raise UpperLayerError("the response to a C-STORE announces a data set")
        self._status.set_result(command.number(Element.STATUS))

    def fail(self) -> None:
        """The peer has gone: no answer comes any more."""
        if not self._status.done():
            self._status.set_exception(DeliveryError("the peer has gone"))
            self._status.exception()  # looked at: nobody may come to wait for it

    async def status(self, timeout_secs: float) -> int:
        """Raises DeliveryError when the peer has gone, TimeoutError when it does not answer in time."""
        async with asyncio.timeout(timeout_secs):
            return await self._status
