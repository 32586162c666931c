"""In which encoding does a message come? ER7 or XML, told by its first characters; one way in for both."""

from __future__ import annotations

from engine.codecs import er7, er7_header, v2xml
from engine.codecs.er7_header import Header


def peek(payload: bytes, configured_charset: str | None, channel: str) -> Header:
    """The header of a message and the keys of its envelope. Raises ParseError when there is none."""
    if payload.startswith(b"MSH") or not v2xml.is_xml(payload):
        return er7_header.peek(payload, configured_charset, channel)
    return v2xml.peek(payload, configured_charset, channel)


def parse(payload: bytes, configured_charset: str | None = None) -> er7.Message:
    """The message. Raises ParseError when it cannot be split."""
    if payload.startswith(b"MSH") or not v2xml.is_xml(payload):
        return er7.parse(payload, configured_charset)
    return v2xml.parse(payload, configured_charset)


def declared_charset(payload: bytes, configured_charset: str | None = None) -> str:
    """What a payload says it is written in: MSH-18, or the declaration of XML; empty when it says nothing.

    Raises ParseError when it is no message.
    """
    if v2xml.is_xml(payload):
        return v2xml.declared_charset(payload)
    start = er7_header.message_start(payload)
    return er7_header.declared_charset(payload[start : er7_header.segment_end(payload, start)], configured_charset)
