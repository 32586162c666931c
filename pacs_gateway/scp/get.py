"""Who fetches stored objects over its own association? C-GET of the patient and study root (PS3.4 C.4.3).

An object is sent in the transfer syntax in which it came, its bytes untouched; whoever does not take it so does not
get it, and is told which one that was.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from engine.errors import DeliveryError, HutongError
from engine.store.imaging_query import Content
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.models import GET
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.retrieving import Retrieval, store_request
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, Element


class Get:
    """Implements `Service`."""

    request = CommandField.C_GET_RQ

    def __init__(self, channel: str, archive: Archive) -> None:
        self._channel = channel
        self._archive = archive

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class in GET else ()

    def begin(self, request: Request) -> Operation:
        return _Getting(self._channel, request, GET[request.sop_class], self._archive)


class _Getting(Retrieval):
    async def answer(self, answers: Answers) -> None:
        try:
            keys = await self.keys(self.query())
            await self.give(keys, _Back(self._archive, answers, self._request), answers)
        except HutongError as error:
            await self.refuse(error, answers)


class _Back:
    """The way back to the requestor. Implements `Way`."""

    def __init__(self, archive: Archive, answers: Answers, request: Request) -> None:
        self._archive = archive
        self._answers = answers
        self._priority = request.command.number(Element.PRIORITY)
        self._numbers = count(1)

    async def give(self, content: Content) -> int:
        if not self._answers.takes(content.sop_class, content.transfer_syntax):
            raise DeliveryError("the requestor does not take the class in the encoding in which it is stored")
        command = store_request(next(self._numbers), content, self._priority)
        data_set = StoredDataSet(self._archive.objects, content)
        return await self._answers.store(command, content.transfer_syntax, data_set)
