"""Which HL7 v2 messages does a file hold? As many as it has MSH segments, however an editor left its lines."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from itertools import pairwise

from conformance.simulators import hl7

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MESSAGE_START = re.compile(rb"(?:\A|[\r\x0b])[\x0b\s]*(?=MSH(?![A-Za-z0-9 ]))")
_BATCH_SEGMENT = re.compile(rb"(?:\A|(?<=\r))(?:FHS|BHS|BTS|FTS)\|[^\r]*(?:\r|\Z)")
"""Segments around the messages of a batch file (HL7 v2.5 §2.10.3): they belong to the file, not to a message."""


_XML_SEGMENT = re.compile(r"<(?:\w+:)?(MSH|MSA|ERR|QAK)>(.*?)</(?:\w+:)?\1>", re.DOTALL)
_XML_FIELD = re.compile(r"<(?:\w+:)?[A-Z0-9]{3}\.(\d+)>(.*?)</(?:\w+:)?[A-Z0-9]{3}\.\1>", re.DOTALL)
_XML_PART = re.compile(r"<(?:\w+:)?\w+\.(\d+)>([^<]*)")
_XML_ENCODING = re.compile(rb"""encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


@dataclass(frozen=True, slots=True)
class FileMessage:
    """One message of a file, its segments ended by CR, and what its header says about it.

    asks  MSH-15 and MSH-16: when it wants an accept and an application acknowledgment
    """

    payload: bytes
    message_type: str
    control_id: str
    asks: tuple[str, str] = ("", "")

    @property
    def may_go_unanswered(self) -> bool:
        """Whether a system that keeps to what is asked may say nothing, now or ever."""
        return any(self.asks) and all(asked in ("NE", "ER", "SU") for asked in self.asks)


@dataclass(frozen=True, slots=True)
class FileBatch:
    """A batch file as it goes out, in one block, and the messages in it."""

    payload: bytes
    messages: tuple[FileMessage, ...]


def batch_in(content: bytes) -> FileBatch | None:
    """The batch that a file is; None when it does not begin with FHS or BHS."""
    content = _with_carriage_returns(content.removeprefix(_BYTE_ORDER_MARK)).strip(b"\x0b\x1c\r\n \t") + b"\r"
    if not content.startswith((b"FHS", b"BHS")):
        return None
    return FileBatch(content, tuple(messages_in(content)))


def messages_in(content: bytes) -> list[FileMessage]:
    """Every message, in the order of the file; empty when there is no MSH. One in XML is the whole of its file."""
    opening = content[:64].removeprefix(_BYTE_ORDER_MARK).lstrip(b"\x0b\r\n \t")
    if opening.startswith(b"<"):
        return _in_xml(content.strip(b"\x0b\x1c\r\n \t"))
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
        asks=((fields[14] if len(fields) > 14 else "").strip(), (fields[15] if len(fields) > 15 else "").strip()),
    )


def _in_xml(content: bytes) -> list[FileMessage]:
    read = read_any(content)
    if not read.all("MSH"):
        return []
    kind, event = read.value("MSH", 9), read.value("MSH", 9, 2)
    asks = (read.value("MSH", 15), read.value("MSH", 16))
    return [FileMessage(content, f"{kind}^{event}" if event else kind, read.value("MSH", 10), asks)]


def _header(payload: bytes) -> str:
    line = payload.split(b"\r", 1)[0]
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("gb18030", errors="replace")


def read_any(payload: bytes) -> hl7.Message:
    """An answer in whichever charset and encoding it comes, for showing; what cannot be decoded is marked."""
    if payload.lstrip().startswith(b"<"):
        return _read_xml(payload)
    try:
        return hl7.read(payload, "utf-8")
    except UnicodeDecodeError:
        return hl7.read(payload.decode("gb18030", errors="replace").encode(), "utf-8")


def _read_xml(payload: bytes) -> hl7.Message:
    """Only what an answer is shown by, and without a parser that a hostile system could keep busy."""
    declared = _XML_ENCODING.search(payload[:200])
    try:
        text = payload.decode(declared[1].decode() if declared else "utf-8", errors="replace")
    except LookupError:
        text = payload.decode("utf-8", errors="replace")
    segments = []
    for name, body in _XML_SEGMENT.findall(text):
        fields: dict[int, str] = {}
        for number, said in _XML_FIELD.findall(body):
            fields.setdefault(int(number), _parts(said))
        first = 2 if name == "MSH" else 1
        last = min(max(fields, default=0), 99)
        segments.append((name, *(fields.get(number, "") for number in range(first, last + 1))))
    return hl7.Message(payload, tuple(segments))


def _parts(said: str) -> str:
    if "<" not in said:
        return html.unescape(said.strip())
    parts = {int(number): html.unescape(value.strip()) for number, value in _XML_PART.findall(said) if value.strip()}
    return "^".join(parts.get(number, "") for number in range(1, min(max(parts, default=0), 99) + 1))


def answers_in(payload: bytes) -> list[hl7.Message]:
    """The answers of a batch of answers, or the one answer that a batch got as a whole."""
    content = payload if payload.lstrip().startswith(b"<") else _BATCH_SEGMENT.sub(b"", payload)
    starts = [found.end() for found in _MESSAGE_START.finditer(content)]
    if len(starts) < 2:
        return [read_any(content)] if starts or content.strip() else []
    return [read_any(content[start:end]) for start, end in pairwise([*starts, len(content)])]
