"""What does a file that comes say before its data set? Its meta information (PS3.10 §7.1), read as the bytes come."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from engine.errors import ParseError

LIMIT_BYTES = 256 * 1024
"""Of preamble and meta information together; private information of a maker may be in them."""

_PREFIX_AT = 128
_PREFIX = b"DICM"
_GROUP = 0x0002
_LONG = frozenset(b"OB OW OF OD OL OV SQ UC UR UT UN SV UV".split())
_WANTED = {0x0002: "sop_class", 0x0003: "sop_uid", 0x0010: "transfer_syntax"}


@dataclass(frozen=True, slots=True)
class FileHead:
    """Texts without padding; empty where the file does not say them."""

    sop_class: str
    sop_uid: str
    transfer_syntax: str


class FileHeadReader:
    """Takes a file from its first byte. `head` is there once the data set begins."""

    def __init__(self) -> None:
        self._held = b""
        self._at = _PREFIX_AT + len(_PREFIX)
        self._found: dict[str, str] = {}
        self.head: FileHead | None = None

    def receive(self, piece: memoryview) -> memoryview:
        """Takes the next bytes; what of them is of the data set already.

        Raises ParseError `dicom-unparsable` for what is no DICOM file.
        """
        if self.head is not None:
            return piece
        self._held += piece
        if (
            len(self._held) >= _PREFIX_AT + len(_PREFIX)
            and self._held[_PREFIX_AT : self._at] != _PREFIX
            and (self._at == _PREFIX_AT + len(_PREFIX))
        ):
            raise ParseError("no DICOM file", code="dicom-unparsable")
        while (length := self._element()) is not None:
            self._at += length
            if self.head is not None:
                rest = memoryview(self._held)[self._at :]
                self._held = b""
                return rest
        if len(self._held) > LIMIT_BYTES:
            raise ParseError("the file meta information has no end", code="dicom-unparsable")
        return memoryview(b"")

    def _element(self) -> int | None:
        """How long the element at hand is; None while it is not whole, 0 where the data set begins."""
        held, at = self._held, self._at
        if len(held) < at + 12:
            return None
        group, element, vr, short = struct.unpack_from("<HH2sH", held, at)
        if group != _GROUP:
            self.head = FileHead(**{name: self._found.get(name, "") for name in _WANTED.values()})
            return 0
        size, length = (12, struct.unpack_from("<I", held, at + 8)[0]) if vr in _LONG else (8, short)
        if length > LIMIT_BYTES:
            raise ParseError("the file meta information has no end", code="dicom-unparsable")
        if len(held) < at + size + length:
            return None
        if element in _WANTED:
            value = held[at + size : at + size + length].strip(b" \0")
            self._found.setdefault(_WANTED[element], value.decode("ascii", "replace"))
        return int(size + length)
