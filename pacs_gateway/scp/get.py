"""Who fetches stored objects over its own association? C-GET of the patient and study root (PS3.4 C.4.3).

An object is sent in the transfer syntax in which it came, its bytes untouched; whoever does not take it so does not
get it, and is told which one that was.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from engine.errors import DeliveryError, HutongError
from engine.store.imaging_search import Content
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.models import GET
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.retrieving import Retrieval
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

_MESSAGE_IDS = 0xFFFF


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
            keys = await self.keys()
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
        command = store_request(next(self._numbers) % _MESSAGE_IDS + 1, content, self._priority)
        data_set = StoredDataSet(self._archive.objects, content)
        return await self._answers.store(command, content.transfer_syntax, data_set)


def store_request(message_id: int, content: Content, priority: int) -> CommandSet:
    return CommandSet.of(
        CommandField.C_STORE_RQ,
        {
            Element.AFFECTED_SOP_CLASS_UID: content.sop_class,
            Element.MESSAGE_ID: message_id,
            Element.PRIORITY: priority,
            Element.AFFECTED_SOP_INSTANCE_UID: content.sop_uid,
        },
        has_data_set=True,
    )
