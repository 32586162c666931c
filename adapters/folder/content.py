"""Which payloads does a file hold? A batch or an XML message is one; messages in a row, or framed, are many."""

from __future__ import annotations

from collections.abc import Sequence

from engine.codecs import acknowledgment, er7_batch, v2xml
from engine.codecs.mllp import MllpDecoder
from engine.errors import FramingError, ParseError

_BLANK = b" \t\r\n\x00"
_BOM = b"\xef\xbb\xbf"
_FRAME_START = b"\x0b"


def payloads(content: bytes) -> Sequence[bytes]:
    """Every payload with its exact bytes, in the order of the file; empty when there is no message at all."""
    if content.lstrip(_BLANK).startswith(_FRAME_START):
        return _framed(content)
    if er7_batch.is_batch(content) or v2xml.is_xml(content):
        return [content]
    if not content.removeprefix(_BOM).lstrip(_BLANK).startswith(b"MSH"):
        return []
    try:
        return er7_batch.split(content).messages
    except ParseError:
        return []


def refused(answers: Sequence[bytes]) -> bool:
    """Whether nothing of the file was taken."""
    return all(_is_refusal(answer) for answer in answers)


def _is_refusal(answer: bytes) -> bool:
    try:
        return not acknowledgment.read(answer).positive
    except ParseError:
        return False  # an answer that is none, such as to a batch, was chosen by what took the messages


def _framed(content: bytes) -> list[bytes]:
    """What a system wrote that thinks of a file as of a connection. A file that ends inside a frame is not taken."""
    decoder = MllpDecoder(len(content) + 1)
    found = []
    try:
        decoder.receive_data(content)
        while (payload := decoder.next_frame()) is not None:
            found.append(payload)
    except FramingError:
        return []
    return [] if decoder.buffered else found
