"""What is there to do? C-FIND of the modality worklist (PS3.4 annex K): an identifier in, scheduled steps out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress

from pydicom.dataset import Dataset

from engine.errors import HutongError, StorageError
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway import status
from pacs_gateway.query.identifier import UNREADABLE, Gathered, encoded, malformed
from pacs_gateway.query.usual import Unusual
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField
from pacs_gateway.worklist import answer, query_of
from pacs_gateway.worklist_answers import PlainSteps

MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"

MATCH_LIMIT = 1000
"""A worklist of more steps than this is refused with A700 rather than cut: the station should ask for a day."""
QUERY_TIMEOUT_SECS = 30.0

FindSteps = Callable[[str, str, StepQuery, int], Awaitable[list[Step]]]
"""facility, calling AE title, query, limit → steps."""

_log = logging.getLogger(__name__)


class WorklistFind:
    """Implements `Service`."""

    request = CommandField.C_FIND_RQ

    def __init__(self, channel: str, find_steps: FindSteps) -> None:
        self._channel = channel
        self._find_steps = find_steps

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == MODALITY_WORKLIST_FIND else ()

    def begin(self, request: Request) -> Operation:
        return _Finding(self._channel, request, self._find_steps)


class _Finding:
    def __init__(self, channel: str, request: Request, find_steps: FindSteps) -> None:
        self._channel = channel
        self._request = request
        self._find_steps = find_steps
        self._identifier = Gathered(request.transfer_syntax)

    def write(self, pieces: Sequence[memoryview]) -> None:
        self._identifier.write(pieces)

    async def answer(self, answers: Answers) -> None:
        command = self._request.command
        try:
            identifier = self._identifier.read()
            steps = await self._steps(_query_of(identifier))
            plain = self._plain(identifier)
            for step in steps:
                if answers.cancelled:
                    await answers.send(response(command, status.CANCELLED))
                    return
                found = self._answer(plain, identifier, step)
                await answers.send(response(command, status.PENDING, has_data_set=True), found)
        except HutongError as error:
            _log.warning("channel %s: refused a query of %s: %s", self._channel, self._request.peer, error.message)
            await answers.send(response(command, status.status_of(error), status.comment_of(error)))
            return
        await answers.send(response(command, status.SUCCESS))

    def abandon(self) -> None:
        self._identifier.abandon()

    async def _steps(self, query: StepQuery) -> list[Step]:
        caller = self._request.caller
        try:
            async with asyncio.timeout(QUERY_TIMEOUT_SECS):
                steps = await self._find_steps(caller.facility, caller.ae_title, query, MATCH_LIMIT + 1)
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        if len(steps) > MATCH_LIMIT:
            raise StorageError("more matches than one answer holds: ask for less", code="too-many-matches")
        return steps

    def _plain(self, identifier: Dataset) -> PlainSteps | None:
        """None for an identifier whose answers are to be written the longer way."""
        try:
            return PlainSteps(identifier, self._request.caller.ae_title, self._request.transfer_syntax)
        except Unusual:
            return None
        except UNREADABLE as error:
            raise malformed() from error

    def _answer(self, plain: PlainSteps | None, identifier: Dataset, step: Step) -> bytes:
        if plain is not None:
            with suppress(Unusual):
                return plain.write(step)
        try:
            return encoded(answer(identifier, step, self._request.caller.ae_title), self._request.transfer_syntax)
        except UNREADABLE as error:
            raise malformed() from error


def _query_of(identifier: Dataset) -> StepQuery:
    """pydicom reads an element when it is asked for it, so reading may fail as late as here."""
    try:
        return query_of(identifier)
    except UNREADABLE as error:
        raise malformed() from error
