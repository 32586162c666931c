"""What is being performed, or was? MPPS retrieval as its provider (PS3.4 F.8): N-GET."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Collection, Sequence
from functools import partial

import asyncpg
from pydicom.dataset import Dataset

from engine.errors import HutongError, ParseError, StorageError
from engine.store import performed_steps
from engine.store.database import FAILED, end_if_cancelled
from engine.store.performed_steps import Message
from pacs_gateway import status
from pacs_gateway.query.identifier import decoded, encoded
from pacs_gateway.recounted import asked_for, recounted
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.mpps import PERFORMED_STEP
from pacs_gateway.scp.normalized import DATA_SET_LIMIT, refusal, response_to, understood
from pacs_gateway.scp.service import Answers, Operation, Request
from pacs_gateway.transfer_syntaxes import UNCOMPRESSED
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element

PERFORMED_STEP_RETRIEVE = "1.2.840.10008.3.1.2.3.4"
MOST_TAGS = 1_000
"""More than a step can have."""
READ_TIMEOUT_SECS = 30.0
_TAG = struct.Struct("<HH")

_log = logging.getLogger(__name__)


class GetStep:
    """Implements `Service`."""

    request = CommandField.N_GET_RQ

    def __init__(self, channel: str, pool: asyncpg.Pool) -> None:
        self._channel = channel
        self._pool = pool

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Collection[str]:
        return UNCOMPRESSED if sop_class == PERFORMED_STEP_RETRIEVE else ()

    def begin(self, request: Request) -> Operation:
        return _Getting(self._channel, self._pool, request)


class _Getting:
    """One N-GET. Implements `Operation`; the request has no data set, and one that comes all the same is not read."""

    def __init__(self, channel: str, pool: asyncpg.Pool, request: Request) -> None:
        self._channel = channel
        self._pool = pool
        self._request = request

    def write(self, pieces: Sequence[memoryview]) -> None:
        return

    def abandon(self) -> None:
        return

    async def answer(self, answers: Answers) -> None:
        try:
            response, data_set = await self._answer()
        except HutongError as error:
            await answers.send(refusal(self._channel, self._request, error))
            return
        await answers.send(response, data_set)

    async def _answer(self) -> tuple[CommandSet, bytes]:
        command = self._request.command
        if command.text(Element.REQUESTED_SOP_CLASS_UID) not in (PERFORMED_STEP_RETRIEVE, PERFORMED_STEP):
            raise ParseError("the SOP class is not that of performed steps", code="class-instance-conflict")
        tags = _tags(command)
        step = await self._step(command.text(Element.REQUESTED_SOP_INSTANCE_UID))
        answer, missing, unknown = await understood(lambda: asked_for(step, tags))
        data_set = await understood(lambda: encoded(answer, self._request.transfer_syntax))
        if unknown:
            told = response_to(command, status.ATTRIBUTE_LIST_ERROR, {}, has_data_set=True)
            listed = b"".join(_TAG.pack(tag >> 16, tag & 0xFFFF) for tag in unknown)
            return CommandSet({**told.elements, Element.ATTRIBUTE_IDENTIFIER_LIST: listed}), data_set
        how = status.OPTIONAL_ATTRIBUTES_NOT_SUPPORTED if missing else status.SUCCESS
        return response_to(command, how, {}, has_data_set=True), data_set

    async def _step(self, uid: str) -> Dataset:
        """As the caller's facility may see it; message by message, because each may be large.

        Raises ParseError `instance-unknown`, and StorageError.
        """
        facility = self._request.caller.facility
        step: Dataset | None = None
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECS), self._pool.acquire() as connection:
                for place in range(await performed_steps.messages(connection, uid, facility)):
                    said = await performed_steps.message(connection, uid, facility, place)
                    step = await understood(partial(_retold, step, said))
        except TimeoutError:
            raise StorageError("the database did not answer in time") from None
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the step cannot be read: {type(error).__name__}") from error
        if step is None:
            raise ParseError("there is no such step", code="instance-unknown")
        return step


def _retold(step: Dataset | None, said: Message) -> Dataset:
    return recounted(step, decoded(said.data_set, said.transfer_syntax, DATA_SET_LIMIT))


def _tags(command: CommandSet) -> list[int]:
    """Raises ParseError `attribute-list-broken`."""
    listed = command.elements.get(Element.ATTRIBUTE_IDENTIFIER_LIST, b"")
    if len(listed) % _TAG.size or len(listed) > MOST_TAGS * _TAG.size:
        raise ParseError("the list of attributes is none, or too long", code="attribute-list-broken")
    return [group << 16 | element for group, element in _TAG.iter_unpack(listed)]
