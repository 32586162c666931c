"""How are stored objects handed out? The sub-operations of C-GET and C-MOVE, counted (PS3.4 C.4.2 and C.4.3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydicom.dataset import Dataset

from engine.errors import HutongError, StorageError
from engine.store.imaging_query import Content, ImagingQuery, Key, Level
from pacs_gateway import status
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.identifier import UNREADABLE, Gathered, encoded, malformed
from pacs_gateway.query.keys import retrieved_by
from pacs_gateway.query.models import Root, check_unique_keys, level_of
from pacs_gateway.scp.service import Answers, Request, response
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

RETRIEVE_LIMIT = 0xFFFF
"""Objects of one request: the counts of its answers hold no more."""
_MESSAGE_IDS = 0x10000
_WARNINGS = range(0xB000, 0xC000)

_log = logging.getLogger(__name__)


class Way(Protocol):
    """How objects reach whoever is to have them."""

    async def give(self, content: Content) -> int:
        """The status that the receiver answered. Raises HutongError when the object does not get there."""
        ...


@dataclass(slots=True)
class Tally:
    """The sub-operations of one request: how many are to come, and how the others ended."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    why: str = ""
    """What is to blame for the last that failed without an answer."""

    def count(self, sop_uid: str, status_of_store: int) -> None:
        self.remaining -= 1
        if status_of_store == status.SUCCESS:
            self.completed += 1
        elif status_of_store in _WARNINGS:
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(sop_uid)

    @property
    def outcome(self) -> int:
        """The status of a request whose sub-operations have all been tried."""
        if not self.failed and not self.warning:
            return status.SUCCESS
        if not self.completed and not self.warning:
            return status.UNABLE_TO_PERFORM
        return status.SUBOPERATIONS_FAILED


class Retrieval:
    """One request for objects, its identifier still to come."""

    def __init__(self, channel: str, request: Request, root: Root, archive: Archive) -> None:
        self._channel = channel
        self._request = request
        self._root = root
        self._archive = archive
        self._identifier = Gathered(request.transfer_syntax)

    def write(self, pieces: Sequence[memoryview]) -> None:
        self._identifier.write(pieces)

    def abandon(self) -> None:
        self._identifier.abandon()

    def query(self) -> ImagingQuery:
        """Which objects are asked for. Raises ParseError."""
        identifier = self._identifier.read()
        level = level_of(identifier, self._root)
        check_unique_keys(identifier, self._root, level)
        try:
            return retrieved_by(identifier, level, self._request.caller.facility)
        except UNREADABLE as error:
            raise malformed() from error

    async def keys(self, query: ImagingQuery) -> list[Key]:
        """The objects that there are. Raises StorageError."""
        keys = await self._archive.keys(query, RETRIEVE_LIMIT + 1)
        if len(keys) > RETRIEVE_LIMIT:
            raise StorageError("more objects than one answer can count", code="too-many-to-retrieve")
        return keys

    async def give(self, keys: Sequence[Key], way: Way, answers: Answers) -> None:
        """Hands out every object, telling after each how many are left, and at last how it went."""
        tally = Tally(len(keys))
        async for page in self._archive.pages(Level.IMAGE, keys):
            for found in page:
                if answers.cancelled:
                    await self._tell(answers, status.CANCELLED, tally, remaining=True)
                    return
                tally.count(found.key.sop_uid, await self._given(way, found.content, tally))
                if tally.remaining:
                    await self._tell(answers, status.PENDING, tally, remaining=True)
        if tally.failed:
            peer, failed, of = self._request.peer, tally.failed, len(keys)
            _log.warning("channel %s: %d of %d objects that %s asked for do not get there: %s",
                         self._channel, failed, of, peer, tally.why or "they are refused")  # fmt: skip
        await self._tell(answers, tally.outcome, tally)

    async def refuse(self, error: HutongError, answers: Answers) -> None:
        _log.warning("channel %s: refused a request of %s: %s", self._channel, self._request.peer, error.message)
        told = status.UNABLE_TO_COUNT if isinstance(error, StorageError) else status.status_of(error)
        await answers.send(response(self._request.command, told, status.comment_of(error)))

    async def _given(self, way: Way, content: Content, tally: Tally) -> int:
        try:
            return await way.give(content)
        except HutongError as error:
            tally.why = error.message
            return status.CANNOT_UNDERSTAND

    async def _tell(self, answers: Answers, told: int, tally: Tally, *, remaining: bool = False) -> None:
        counts: dict[Element, int | str] = {
            Element.NUMBER_OF_COMPLETED_SUB_OPERATIONS: tally.completed,
            Element.NUMBER_OF_FAILED_SUB_OPERATIONS: tally.failed,
            Element.NUMBER_OF_WARNING_SUB_OPERATIONS: tally.warning,
        }
        if remaining:
            counts[Element.NUMBER_OF_REMAINING_SUB_OPERATIONS] = tally.remaining
        failed = self._failed(tally) if told != status.PENDING else b""
        answer = response(self._request.command, told, has_data_set=bool(failed))
        await answers.send(_with(answer, counts), failed)

    def _failed(self, tally: Tally) -> bytes:
        """The Failed SOP Instance UID List."""
        if not tally.failed_uids:
            return b""
        listed = Dataset()
        listed.FailedSOPInstanceUIDList = tally.failed_uids
        return encoded(listed, self._request.transfer_syntax)


def _with(command: CommandSet, counts: Mapping[Element, int | str]) -> CommandSet:
    return CommandSet({**command.elements, **CommandSet.of(command.field, counts).elements,
                       Element.COMMAND_DATA_SET_TYPE: command.elements[Element.COMMAND_DATA_SET_TYPE]})  # fmt: skip


def store_request(
    number: int, content: Content, priority: int, originator: Mapping[Element, int | str] | None = None
) -> CommandSet:
    """The request for one object, the number-th; `originator` says on whose behalf, for a C-MOVE."""
    return CommandSet.of(
        CommandField.C_STORE_RQ,
        {
            Element.AFFECTED_SOP_CLASS_UID: content.sop_class,
            Element.MESSAGE_ID: number % _MESSAGE_IDS,
            Element.PRIORITY: priority,
            Element.AFFECTED_SOP_INSTANCE_UID: content.sop_uid,
            **(originator or {}),
        },
        has_data_set=True,
    )
