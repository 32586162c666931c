"""Who fetches stored objects over its own association? C-GET of the patient and study root (PS3.4 C.4.3).

An object is sent in the transfer syntax in which it came, its bytes untouched, to whoever takes it so; to others
without compression, which everybody takes (PS3.5 §10.1). What cannot be decoded is named as failed.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from engine.errors import HutongError
from engine.store.imaging_query import Content
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.models import GET, Root
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.retrieving import Retrieval, store_request
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, Element


class Get:
    """Implements `Service`."""

    request = CommandField.C_GET_RQ

    def __init__(self, channel: str, archive: Archive, encoder: Encoder) -> None:
        self._channel = channel
        self._archive = archive
        self._encoder = encoder

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class in GET else ()

    def begin(self, request: Request) -> Operation:
        return _Getting(self._channel, request, GET[request.sop_class], self._archive, self._encoder)


class _Getting(Retrieval):
    def __init__(self, channel: str, request: Request, root: Root, archive: Archive, encoder: Encoder) -> None:
        super().__init__(channel, request, root, archive)
        self._encoder = encoder

    async def answer(self, answers: Answers) -> None:
        try:
            keys = await self.keys(self.query())
            await self.give(keys, _Back(self._encoder, answers, self._request), answers)
        except HutongError as error:
            await self.refuse(error, answers)


class _Back:
    """The way back to the requestor. Implements `Way`."""

    def __init__(self, encoder: Encoder, answers: Answers, request: Request) -> None:
        self._encoder = encoder
        self._answers = answers
        self._priority = request.command.number(Element.PRIORITY)
        self._numbers = count(1)

    async def give(self, content: Content) -> int:
        encoded = await self._encoder.encoded(content, self._answers)
        command = store_request(next(self._numbers), content, self._priority)
        return await self._answers.store(command, encoded.transfer_syntax, encoded.data_set)
