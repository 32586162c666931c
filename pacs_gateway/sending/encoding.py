"""In which encoding does an object go to a system? As it is stored if it can, smaller if that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from engine.config import SendAs
from engine.errors import DeliveryError, Disposition
from engine.store.imaging_query import Content
from pacs_gateway.scp.service import OutgoingDataSet
from pacs_gateway.scu.peer import PLAIN
from pacs_gateway.sending.proposing import TARGETS
from pacs_gateway.sending.transcoding import LARGEST_BYTES, CannotEncode
from pacs_gateway.sending.workshop import Workshop
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, TRANSFER_SYNTAXES, UNCOMPRESSED

DataSetOf = Callable[[Content], OutgoingDataSet]

PIECE_BYTES = 1024 * 1024
MADE_AT_ONCE = 2
"""Objects that are held while they wait for a process that encodes them: as many as there are of those."""


class Receiver(Protocol):
    """Who is to have an object, over an association that stands."""

    def takes(self, sop_class: str, transfer_syntax: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """An object as it goes out; `note` says what could not be done to it."""

    transfer_syntax: str
    data_set: OutgoingDataSet
    note: str = ""


class Encoder:
    """data_set_of  the bytes of an object as they are stored"""

    def __init__(self, data_set_of: DataSetOf) -> None:
        self._data_set_of = data_set_of
        self._workshop = Workshop()
        self._turns = asyncio.Semaphore(MADE_AT_ONCE)

    async def close(self) -> None:
        """Ends the processes in which objects are encoded, once what they are at is done."""
        await self._workshop.close()

    async def encoded(self, content: Content, receiver: Receiver, send_as: SendAs = SendAs.AS_STORED) -> Encoded:
        """An object in an encoding that the receiver takes.

        Raises DeliveryError, to HOLD, when there is none, and StorageError when the object cannot be read.
        """
        stored = content.transfer_syntax
        if not any(receiver.takes(content.sop_class, encoding) for encoding in TRANSFER_SYNTAXES):
            named = STORAGE_CLASSES.get(content.sop_class, content.sop_class)
            raise _not_taken(f"it does not take the SOP class {named}")
        note = ""
        target = TARGETS.get(send_as)
        if target is not None and _is_plain(stored) and receiver.takes(content.sop_class, target):
            try:
                made = await self._made(content, target)
                if len(made) < content.bytes:
                    return Encoded(target, Whole(made))
            except CannotEncode as error:
                note = f"sent without compression: {error}" if str(error) else ""
        if receiver.takes(content.sop_class, stored):
            return Encoded(stored, self._data_set_of(content), note)
        for plain in PLAIN:
            if receiver.takes(content.sop_class, plain):
                try:
                    return Encoded(plain, Whole(await self._made(content, plain)), note)
                except CannotEncode as error:
                    why = str(error) or "it holds no picture"
                    raise _not_taken(f"it does not take the encoding, and it cannot be changed: {why}") from error
        raise _not_taken("it does not take the encoding in which the object is stored, and none without compression")

    async def _made(self, content: Content, target: str) -> bytes:
        if content.bytes > LARGEST_BYTES:
            raise CannotEncode("it is too large to be encoded here")
        async with self._turns:
            gathered = bytearray()
            async for piece, _ in self._data_set_of(content).pieces():
                gathered += piece
            return await self._workshop.made(bytes(gathered), content.transfer_syntax, target)


class Whole:
    """A data set that is in memory. Implements `OutgoingDataSet`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        for at in range(0, len(self._data), PIECE_BYTES):
            yield self._data[at : at + PIECE_BYTES], at + PIECE_BYTES >= len(self._data)


def _is_plain(transfer_syntax: str) -> bool:
    """Whether its pixels are neither compressed nor in big endian, which only old systems write."""
    return transfer_syntax in UNCOMPRESSED and transfer_syntax != EXPLICIT_VR_BIG_ENDIAN


def _not_taken(what: str) -> DeliveryError:
    return DeliveryError(what, disposition=Disposition.HOLD, code="not-taken")
