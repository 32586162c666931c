"""Which HL7 v2 messages does a file hold? As many as it has MSH segments, however an editor left its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from conformance.simulators import hl7

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MESSAGE_START = re.compile(rb"(?:\A|[\r\x0b])[\x0b\s]*(?=MSH(?![A-Za-z0-9 ]))")
_BATCH_SEGMENT = re.compile(rb"(?:\A|(?<=\r))(?:FHS|BHS|BTS|FTS)\|[^\r]*(?:\r|\Z)")
"""Segments around the messages of a batch file (HL7 v2.5 §2.10.3): they belong to the file, not to a message."""


@dataclass(frozen=True, slots=True)
class FileMessage:
    """One message of a file, its segments ended by CR, and what its header says about it."""

    payload: bytes
    message_type: str
    control_id: str


def messages_in(content: bytes) -> list[FileMessage]:
    """Every message, in the order of the file; empty when there is no MSH."""
    content = _BATCH_SEGMENT.sub(b"", _with_carriage_returns(content.removeprefix(_BYTE_ORDER_MARK)))
    starts = [found.end() for found in _MESSAGE_START.finditer(content)]
    return [
        _message(content[start:end].rstrip(b"\x1c\r\n\x0b \t") + b"\r")
        for start, end in pairwise([*starts, len(content)])
    ]


def _with_carriage_returns(content: bytes) -> bytes:
    """Segments end with CR; a file that knows only LF, or CRLF, was saved by an editor."""
    content = content.replace(b"\r\n", b"\r")
    return content if b"\r" in content else content.replace(b"\n", b"\r")


def _message(payload: bytes) -> FileMessage:
    fields = _header(payload).split(payload[3:4].decode("latin-1"))
    kind, event = ([*fields[8].split(fields[1][:1] or "^"), "", ""] if len(fields) > 8 else ["", ""])[:2]
    return FileMessage(
        payload=payload,
        message_type=f"{kind}^{event}" if event else kind,
        control_id=fields[9] if len(fields) > 9 else "",
    )


def _header(payload: bytes) -> str:
    line = payload.split(b"\r", 1)[0]
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("gb18030", errors="replace")


def read_any(payload: bytes) -> hl7.Message:
    """An answer in whichever charset it comes, for showing; what cannot be decoded is marked."""
    try:
        return hl7.read(payload, "utf-8")
    except UnicodeDecodeError:
        return hl7.read(payload.decode("gb18030", errors="replace").encode(), "utf-8")
