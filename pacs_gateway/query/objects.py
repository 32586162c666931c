"""How does a stored object go out again? The bytes of its data set, as they came, read as they are sent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import BinaryIO

from engine.errors import ParseError, StorageError
from engine.store.imaging_query import Content
from engine.store.statements import is_restated
from pacs_gateway.location import Objects, open_object
from pacs_gateway.part10 import data_set_offset

PIECE_BYTES = 1024 * 1024
"""Held of an object at once, twice; an even number."""
_META_BYTES = 512


class StoredDataSet:
    """Implements `OutgoingDataSet`."""

    def __init__(self, objects: Objects, content: Content) -> None:
        self._objects = objects
        self._content = content

    async def pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Raises StorageError, and NotFoundError for an object that is not where the index says."""
        try:
            file = await asyncio.to_thread(self._opened)
            try:
                left = await asyncio.to_thread(self._length, file)
                while left:
                    piece = await asyncio.to_thread(file.read, min(left, PIECE_BYTES))
                    left -= len(piece)
                    if not piece or (left and len(piece) % 2):
                        raise StorageError("an object is shorter than the index says")
                    yield piece, not left
            finally:
                await asyncio.to_thread(file.close)
        except OSError as error:
            raise StorageError(f"an object cannot be read: {error.strerror}") from error

    def _length(self, file: BinaryIO) -> int:
        """Of its data set; what was decided of an object since it was stored makes it shorter or longer."""
        if not is_restated(self._content.location):
            return self._content.bytes
        start = file.tell()
        length = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        return length

    def _opened(self) -> BinaryIO:
        file = open_object(self._objects, self._content.location)
        try:
            file.seek(data_set_offset(file.read(_META_BYTES)))
        except ParseError as error:
            file.close()
            raise StorageError("an object in the store is no DICOM file") from error
        return file
