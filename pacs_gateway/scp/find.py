"""Which studies are there? C-FIND of the patient and study root (PS3.4 annex C): an identifier in, matches out."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing

from pydicom.dataset import Dataset

from engine.errors import HutongError, StorageError
from engine.store.imaging_query import Found, Key, Level
from pacs_gateway import status
from pacs_gateway.query.answers import answer_of, known_of, unindexed, writable
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.identifier import UNREADABLE, Gathered, encoded, malformed
from pacs_gateway.query.keys import Asked, asked_by
from pacs_gateway.query.matching import satisfies
from pacs_gateway.query.models import FIND, check_unique_keys, level_of
from pacs_gateway.query.plain import PlainAnswers, is_plain
from pacs_gateway.query.usual import Unusual
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField

MATCH_LIMIT = 10_000
"""Matches of one answer, of which the newest are sent; then it ends with A700, so that nobody takes it for all."""
SEARCH_LIMIT = 2_000
"""Objects looked into for keys that the index does not have; a query that needs more must say more."""

_log = logging.getLogger(__name__)


class Find:
    """Implements `Service`."""

    request = CommandField.C_FIND_RQ

    def __init__(self, channel: str, ae_title: str, archive: Archive) -> None:
        self._channel = channel
        self._ae_title = ae_title
        self._archive = archive

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class in FIND else ()

    def begin(self, request: Request) -> Operation:
        return _Finding(self._channel, self._ae_title, request, self._archive)


class _Finding:
    def __init__(self, channel: str, ae_title: str, request: Request, archive: Archive) -> None:
        self._channel = channel
        self._ae_title = ae_title
        self._request = request
        self._archive = archive
        self._identifier = Gathered(request.transfer_syntax)

    def write(self, pieces: Sequence[memoryview]) -> None:
        self._identifier.write(pieces)

    def abandon(self) -> None:
        self._identifier.abandon()

    async def answer(self, answers: Answers) -> None:
        command = self._request.command
        try:
            async with aclosing(self._matches()) as matches:
                async for found in matches:
                    if answers.cancelled:
                        await answers.send(response(command, status.CANCELLED))
                        return
                    await answers.send(response(command, status.PENDING, has_data_set=True), found)
        except HutongError as error:
            _log.warning("channel %s: refused a query of %s: %s", self._channel, self._request.peer, error.message)
            await answers.send(response(command, status.status_of(error), status.comment_of(error)))
            return
        await answers.send(response(command, status.SUCCESS))

    async def _matches(self) -> AsyncGenerator[bytes]:
        identifier = self._identifier.read()
        root = FIND[self._request.sop_class]
        level = level_of(identifier, root)
        check_unique_keys(identifier, root, level)
        asked = _asked(identifier, level, self._request.caller.facility)
        limit = SEARCH_LIMIT if len(asked.rest) else MATCH_LIMIT
        keys = await self._archive.keys(asked.query, limit + 1)
        looked_into = sorted({*unindexed(identifier), *unindexed(asked.rest)})
        if not len(asked.rest) and is_plain(identifier, self._request.transfer_syntax):
            plain = PlainAnswers(identifier, level, self._ae_title, self._request.transfer_syntax)
            async for page in self._archive.pages(level, keys[:limit]):
                for found in page:
                    yield self._plain(plain, identifier, found, level)
            self._refuse_more(keys, limit)
            return
        async for page in self._archive.pages(level, keys[:limit]):
            heads = await self._archive.heads([found.content for found in page], looked_into) if looked_into else ()
            for place, found in enumerate(page):
                known = known_of(found, level, heads[place] if heads else Dataset())
                if satisfies(known, asked.rest):
                    yield self._encoded(identifier, known, level)
        self._refuse_more(keys, limit)

    def _refuse_more(self, keys: Sequence[Key], limit: int) -> None:
        if len(keys) > limit:
            raise StorageError("more matches than one answer holds: ask for less", code="too-many-matches")

    def _plain(self, plain: PlainAnswers, identifier: Dataset, found: Found, level: Level) -> bytes:
        try:
            return plain.write(found)
        except Unusual:
            return self._encoded(identifier, known_of(found, level, Dataset()), level)

    def _encoded(self, identifier: Dataset, known: Dataset, level: Level) -> bytes:
        """An answer, without what cannot be written because an object holds what its VR cannot."""
        answer, transfer_syntax = answer_of(identifier, known, level, self._ae_title), self._request.transfer_syntax
        try:
            return encoded(answer, transfer_syntax)
        except UNREADABLE as error:
            kind = type(error).__name__
            _log.warning("channel %s: a match is told without what cannot be written of it: %s", self._channel, kind)
            return encoded(writable(answer, transfer_syntax), transfer_syntax)


def _asked(identifier: Dataset, level: Level, facility: str) -> Asked:
    try:
        return asked_by(identifier, level, facility)
    except UNREADABLE as error:
        raise malformed() from error
