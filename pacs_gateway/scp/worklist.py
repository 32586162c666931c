"""What is there to do? C-FIND of the modality worklist (PS3.4 annex K): an identifier in, scheduled steps out."""

from __future__ import annotations

import asyncio
import logging
import struct
import zlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from engine.errors import HutongError, ParseError, StorageError
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway import status
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.service import Answers, Operation, Request, response
from pacs_gateway.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
)
from pacs_gateway.upper_layer.commands import CommandField
from pacs_gateway.worklist import answer, query_of

MODALITY_WORKLIST_FIND = "1.2.840.10008.5.1.4.31"

MATCH_LIMIT = 1000
"""A worklist of more steps than this is refused with A700 rather than cut: the station should ask for a day."""
IDENTIFIER_LIMIT = 1024 * 1024
"""Of an identifier, also once it is inflated: real ones are a few kilobytes long."""
QUERY_TIMEOUT_SECS = 30.0

_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, NotImplementedError, OSError,
               RecursionError, struct.error, zlib.error)  # fmt: skip
"""What pydicom raises over bytes that are no data set."""

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
        self._identifier = bytearray()

    def write(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            if len(self._identifier) <= IDENTIFIER_LIMIT:
                self._identifier += piece

    async def answer(self, answers: Answers) -> None:
        command = self._request.command
        try:
            identifier = _decoded(bytes(self._identifier), self._request.transfer_syntax)
            steps = await self._steps(_query_of(identifier))
            for step in steps:
                if answers.cancelled:
                    await answers.send(response(command, status.CANCELLED))
                    return
                found = self._answer(identifier, step)
                await answers.send(response(command, status.PENDING, has_data_set=True), found)
        except HutongError as error:
            _log.warning("channel %s: refused a query of %s: %s", self._channel, self._request.peer, error.message)
            await answers.send(response(command, status.status_of(error), status.comment_of(error)))
            return
        await answers.send(response(command, status.SUCCESS))

    def abandon(self) -> None:
        self._identifier.clear()

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

    def _answer(self, identifier: Dataset, step: Step) -> bytes:
        try:
            return _encoded(answer(identifier, step, self._request.caller.ae_title), self._request.transfer_syntax)
        except _UNREADABLE as error:
            raise _malformed() from error


def _query_of(identifier: Dataset) -> StepQuery:
    """pydicom reads an element when it is asked for it, so reading may fail as late as here."""
    try:
        return query_of(identifier)
    except _UNREADABLE as error:
        raise _malformed() from error


def _decoded(data: bytes, transfer_syntax: str) -> Dataset:
    if len(data) > IDENTIFIER_LIMIT:
        raise ParseError("the identifier is too long", code="query-malformed")
    try:
        if transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, IDENTIFIER_LIMIT)
        return read_dataset(BytesIO(data), *_encoding(transfer_syntax))
    except _UNREADABLE as error:
        raise _malformed() from error


def _encoded(dataset: Dataset, transfer_syntax: str) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = _encoding(transfer_syntax)
    write_dataset(stream, dataset)
    written = stream.getvalue()
    if transfer_syntax != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        return written
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(written) + deflater.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def _encoding(transfer_syntax: str) -> tuple[bool, bool]:
    """Implicit VR? Little endian?"""
    return transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN, transfer_syntax != EXPLICIT_VR_BIG_ENDIAN


def _malformed() -> ParseError:
    return ParseError("the identifier cannot be read", code="query-malformed")
