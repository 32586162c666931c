"""What goes over the line of a study? The data sets of its objects, one behind the other, to be read at any place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import BinaryIO

from engine.errors import Disposition, HutongError, StorageError
from engine.store.instances import Instance
from engine.store.statements import is_restated
from pacs_gateway import part10
from pacs_gateway.location import Objects, open_object
from pacs_gateway.transfer.contents import Content, Contents

_HEAD_BYTES = 4096
_PIECE_BYTES = 1024 * 1024
_CHANGED = "object-changed"
_OF_THE_OBJECT = frozenset({_CHANGED, "object-unreadable"})
"""Codes of errors that a later attempt would meet too, though the store can be read."""


class UnreadableError(HutongError):
    """Objects are gone, or are not what was stored: nothing that waits behind them is to wait for them.

    why  by their places in the contents
    """

    code = "objects-unreadable"

    def __init__(self, why: Mapping[int, str]) -> None:
        super().__init__(f"{len(why)} objects cannot be read")
        self.why = why


class Stream:
    """The data sets of a study. Its methods block."""

    def __init__(self, objects: Objects, instances: Sequence[Instance]) -> None:
        self._objects = objects
        self._instances = instances
        self._opened: tuple[int, BinaryIO, int] | None = None

    def contents(self, study_uid: str) -> Contents:
        """Raises UnreadableError, and StorageError while the store cannot be read."""
        found: list[Content] = []
        lost: dict[int, str] = {}
        for index in range(len(self._instances)):
            try:
                found.append(self._content(index))
            except HutongError as error:
                lost[index] = _lasting(error)
        if lost:
            raise UnreadableError(lost)
        return Contents(study_uid, found)

    def read(self, needed: Sequence[int], starts: Sequence[int], offset: int, count: int) -> bytes:
        """So many bytes of the stream that consists of these objects. Raises as `contents` does."""
        gathered = bytearray()
        while count and offset < starts[-1]:
            place = bisect_right(starts, offset) - 1
            try:
                piece = self._piece(needed[place], offset - starts[place], min(count, starts[place + 1] - offset))
            except HutongError as error:
                lost = {needed[place]: _lasting(error)}
                raise UnreadableError(lost | self._lost(needed[place + 1 :])) from error
            gathered += piece
            offset, count = offset + len(piece), count - len(piece)
        return bytes(gathered)

    def close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _lost(self, indexes: Iterable[int]) -> dict[int, str]:
        """Those that cannot be opened: where one is gone others often are, and they are told of together."""
        lost: dict[int, str] = {}
        for index in indexes:
            try:
                self._open(index)
            except HutongError as error:
                lost[index] = _lasting(error)
        return lost

    def _piece(self, index: int, at: int, count: int) -> bytes:
        file, data_at = self._open(index)
        file.seek(data_at + at)
        piece = _read(file, count)
        if not piece:
            raise StorageError("an object is shorter than it was", code=_CHANGED)
        return piece

    def _content(self, index: int) -> Content:
        one = self._instances[index]
        size, digest = one.bytes, one.sha256.hex()
        if is_restated(one.location):
            size, digest = self._measured(index)
        return Content(one.sop_uid, one.series_uid, one.sop_class, one.transfer_syntax, size, digest)

    def _measured(self, index: int) -> tuple[int, str]:
        file, data_at = self._open(index)
        file.seek(data_at)
        size, digest = 0, sha256()
        while piece := _read(file, _PIECE_BYTES):
            size += len(piece)
            digest.update(piece)
        return size, digest.hexdigest()

    def _open(self, index: int) -> tuple[BinaryIO, int]:
        if self._opened is None or self._opened[0] != index:
            self.close()
            file = open_object(self._objects, self._instances[index].location)
            try:
                self._opened = (index, file, part10.data_set_offset(_read(file, _HEAD_BYTES)))
            except HutongError:
                file.close()
                raise
        return self._opened[1], self._opened[2]


def _read(file: BinaryIO, count: int) -> bytes:
    try:
        return file.read(count)
    except OSError as error:
        raise StorageError(f"an object cannot be read: {error.strerror}") from error


def _lasting(error: HutongError) -> str:
    """Why an object can never be read; raises what may pass."""
    if error.disposition is Disposition.RETRY and error.code not in _OF_THE_OBJECT:
        raise error
    return f"it cannot be read here: {error.message} ({error.code})"
