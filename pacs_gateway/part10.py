"""What stands before the data set in a DICOM file? The preamble and file meta information of PS3.10."""

from __future__ import annotations

import struct

from engine.errors import ParseError

IMPLEMENTATION_CLASS_UID = "2.25.190125460926211461586018302512013718272"
IMPLEMENTATION_VERSION_NAME = "HUTONG"

_PREAMBLE = bytes(128) + b"DICM"
_GROUP_LENGTH = struct.Struct("<HH2sHI")
_ELEMENT = struct.Struct("<HH2sH")
DATA_SET_OFFSET_BYTES = len(_PREAMBLE) + _GROUP_LENGTH.size
"""Of the beginning of a file: what `data_set_offset` needs."""
_VERSION = struct.pack("<HH2sHI", 0x0002, 0x0001, b"OB", 0, 2) + b"\x00\x01"


def header(*, sop_class: str, sop_uid: str, transfer_syntax: str, sender: str) -> bytes:
    """Everything of the file up to the first byte of the data set; `sender` is the calling AE title."""
    meta = _VERSION + b"".join(
        (
            _element(0x0002, b"UI", sop_class, b"\0"),
            _element(0x0003, b"UI", sop_uid, b"\0"),
            _element(0x0010, b"UI", transfer_syntax, b"\0"),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
            _element(0x0016, b"AE", sender, b" "),
        )
    )
    return _PREAMBLE + _GROUP_LENGTH.pack(0x0002, 0x0000, b"UL", 4, len(meta)) + meta


def data_set_offset(head: bytes) -> int:
    """Where the data set starts in a file that begins with these bytes and that `header` began.

    Raises ParseError when they are no such beginning.
    """
    if len(head) < len(_PREAMBLE) + _GROUP_LENGTH.size or head[128:132] != b"DICM":
        raise ParseError("no DICOM file", code="dicom-unparsable")
    group, element, _, _, length = _GROUP_LENGTH.unpack_from(head, len(_PREAMBLE))
    if (group, element) != (0x0002, 0x0000):
        raise ParseError("the file meta information has no length", code="dicom-unparsable")
    return len(_PREAMBLE) + _GROUP_LENGTH.size + int(length)


def _element(number: int, vr: bytes, value: str, padding: bytes) -> bytes:
    encoded = value.encode("ascii", "replace")
    if len(encoded) % 2:
        encoded += padding
    return _ELEMENT.pack(0x0002, number, vr, len(encoded)) + encoded
