"""What must be known of a message before it is stored? Its header, whose it is, and whether it came before.

Reads MSH, PID and MRG only, so that an acknowledgment need not wait for a full parse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from engine.codecs import text
from engine.errors import ParseError

KEY_BYTES = 16
"""A collision by chance needs 2^64 messages; a repeat needs two keys equal."""

_BEFORE_MESSAGE = b" \t\r\n\x00"
_BOM = b"\xef\xbb\xbf"
_NULL = '""'
_OF_THE_SENDING = (7, 13)
"""MSH-7 and MSH-13 differ between two sendings of one message."""
_OWNERS = {b"PID": (3,), b"MRG": (1, 2, 4)}
"""Which fields of which segment hold patient identifiers: some name whom they merge in MRG-2 or MRG-4 alone."""
MAX_OWNERS = 1000
"""Each is a lane that its message waits in; a message of more patients is a batch, or hostile."""
_PLAIN = re.compile(rb"[\x01-\x7f]*")


class Separators(NamedTuple):
    """The characters of MSH-1 and MSH-2. An empty string is one that this message does not have."""

    field: str
    component: str
    repetition: str
    escape: str
    subcomponent: str
    truncation: str = ""

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation


USUAL = Separators("|", "^", "~", "\\", "&")


def read_separators(field: str, encoding_characters: str) -> Separators:
    """Separators from MSH-1 and MSH-2.

    MSH-2 has four characters, five with the truncation character of v2.7, fewer in old messages, and when it is empty
    the usual ones are meant. Raises ParseError when a separator could also be data: a letter, a digit, a blank, a
    quote, or one character in two roles.
    """
    if field == "|" and encoding_characters == "^~\\&":
        return USUAL
    characters = encoding_characters or "^~\\&"
    used = field + characters
    if (
        len(characters) > 5
        or len(set(used)) != len(used)
        or any(not (" " < c < "\x7f") or c.isalnum() or c == '"' for c in used)
    ):
        raise ParseError("these separators cannot be used", location="MSH-2", code="separators-unusable")
    return Separators(field, *[characters[i : i + 1] for i in range(5)])


@dataclass(frozen=True, slots=True)
class Header:
    """MSH as it stands, and the keys of the envelope.

    msh          raw fields, numbered as HL7 numbers them: msh[10] is MSH-10
    codec        the Python codec MSH was read with
    patient_ids  CX.1 of every repetition of PID-3, MRG-1, MRG-2 and MRG-4 of the message, in order, each once
    control_key  digest of channel, MSH-3, MSH-4 and MSH-10: who says this is which message
    content_key  digest of the payload without MSH-7 and MSH-13: whether it says the same again
    """

    separators: Separators
    msh: tuple[str, ...]
    codec: str
    patient_ids: tuple[str, ...]
    control_key: bytes
    content_key: bytes

    def field(self, number: int) -> str:
        """A raw field of MSH; empty when the segment ends before it."""
        return self.msh[number] if number < len(self.msh) else ""

    def component(self, number: int, component: int = 1) -> str:
        """A raw component of the first repetition of a field of MSH."""
        parts = _components(self.field(number), self.separators.repetition, self.separators.component)
        return parts[component - 1] if component <= len(parts) else ""

    @property
    def sending_application(self) -> str:
        return self.component(3)

    @property
    def sending_facility(self) -> str:
        return self.component(4)

    @property
    def receiving_application(self) -> str:
        return self.component(5)

    @property
    def receiving_facility(self) -> str:
        return self.component(6)

    @property
    def message_type(self) -> str:
        """`ADT^A04`; `ACK` where there is no trigger event."""
        code, event = self.component(9, 1), self.component(9, 2)
        return f"{code}^{event}" if event else code

    @property
    def structure(self) -> str:
        return self.component(9, 3)

    @property
    def control_id(self) -> str:
        return self.field(10).strip()

    @property
    def processing_id(self) -> str:
        return self.field(11).strip()

    @property
    def version(self) -> str:
        return self.component(12)

    @property
    def accept_ack(self) -> str:
        """MSH-15: AL, NE, ER, SU or empty."""
        return self.field(15).strip()

    @property
    def application_ack(self) -> str:
        """MSH-16."""
        return self.field(16).strip()

    @property
    def charset(self) -> str:
        """MSH-18 as written, all repetitions."""
        return self.field(18)


def message_start(payload: bytes) -> int:
    """Where `MSH` stands. Raises ParseError when the payload does not begin with one, blanks and BOM apart."""
    if payload.startswith(b"MSH"):
        start = 0
    else:
        start = len(_BOM) if payload.startswith(_BOM) else 0
        while payload[start : start + 1] and payload[start] in _BEFORE_MESSAGE:
            start += 1
    # A segment of three letters has no separator to read it by.
    if not payload.startswith(b"MSH", start) or payload[start + 3 : start + 4] in (b"", b"\r", b"\n"):
        raise ParseError("the message does not begin with MSH", code="msh-missing")
    return start


def declared_charset(msh: bytes, configured: str | None = None) -> str:
    """MSH-18 of a header segment whose charset is not known yet.

    Its fields can be counted only once it is decoded, and which decoding is right stands in one of them: the decoding
    under which MSH-18 names itself is taken, else the first that fits the bytes.
    """
    if msh.isascii():
        return _field_18(msh.decode("ascii"))
    fallback: str | None = None
    for codec in dict.fromkeys((text.codec_of(configured) or text.UTF_8, text.UTF_8, text.GB18030, text.LATIN_1)):
        try:
            declared = _field_18(msh.decode(codec))
        except UnicodeDecodeError:
            continue
        if text.codec_of(declared) is not None:
            return declared
        fallback = declared if fallback is None else fallback
    return fallback or ""


def _field_18(msh: str) -> str:
    fields = msh.split(msh[3])
    return fields[17].strip() if len(fields) > 17 else ""


def peek(payload: bytes, configured_charset: str | None, channel: str) -> Header:
    """The header of a message.

    Raises ParseError: no usable MSH at its beginning (`msh-missing`, `separators-unusable`), `too-many-patients`.
    """
    start = message_start(payload)
    end = segment_end(payload, start)
    raw, rest = payload[start:end], payload[end:]
    if raw.isascii() and b"\0" not in raw:
        content = raw.decode("ascii")
        declared = _field_18(content)
        codec = text.codec_of_plain(declared, configured_charset)
    else:
        declared = declared_charset(raw, configured_charset)
        decoded = text.decode(raw, declared, configured_charset)
        content, codec = decoded.text, decoded.charset
    fields = content.split(content[3])
    separators = read_separators(content[3], fields[1] if len(fields) > 1 else "")
    return Header(
        separators,
        ("MSH", separators.field, *fields[1:]),
        codec,
        _patient_ids(rest, separators, declared, configured_charset),
        _control_key(channel, fields),
        _content_key(rest, separators.field, fields),
    )


def segment_end(payload: bytes, start: int) -> int:
    """Where the segment that begins at `start` ends.

    CR and LF are never part of a multi-byte character in UTF-8 or GB 18030, so bytes can be searched for them.
    """
    cr = payload.find(b"\r", start)
    lf = payload.find(b"\n", start, cr if cr >= 0 else len(payload))
    if lf >= 0:
        return lf
    return cr if cr >= 0 else len(payload)


def _control_key(channel: str, fields: list[str]) -> bytes:
    own = (fields + [""] * 10)[:10]
    return _digest("\0".join((channel, own[2], own[3], own[9].strip())).encode())


def _content_key(rest: bytes, separator: str, fields: list[str]) -> bytes:
    kept = fields.copy()
    for number in _OF_THE_SENDING:
        if number <= len(kept):
            kept[number - 1] = ""
    return _digest(separator.join(kept).encode(), rest)


def _digest(*parts: bytes) -> bytes:
    digest = sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()[:KEY_BYTES]


def _patient_ids(rest: bytes, separators: Separators, declared: str, configured: str | None) -> tuple[str, ...]:
    """Every identifier in the segments after the header."""
    found: dict[str, None] = {}
    for count, opening in enumerate(_opening(separators.field, b"\n" in rest).finditer(rest), start=1):
        if count > MAX_OWNERS:
            raise ParseError(f"the message has more than {MAX_OWNERS} patients", code="too-many-patients")
        segment = rest[opening.start(1) : segment_end(rest, opening.end())]
        for number in _OWNERS[opening[1]]:
            field = _field(segment, separators.field, number, declared, configured)
            for repetition in _split(field, separators.repetition):
                value = _split(repetition, separators.component)[0].strip()
                if value and value != _NULL:
                    found[value] = None
    return tuple(found)


@lru_cache(maxsize=64)
def _opening(separator: str, line_feeds: bool) -> re.Pattern[bytes]:
    """Where a segment with identifiers begins; a single line end is searched for twice as fast as a choice of two."""
    line_end = b"[\r\n]" if line_feeds else b"\r"
    return re.compile(line_end + b"(" + b"|".join(_OWNERS) + b")" + re.escape(separator.encode("ascii")))


def _field(segment: bytes, separator: str, number: int, declared: str, configured: str | None) -> str:
    """A field of a segment that is decoded before it is split.

    What comes before the first byte beyond ASCII needs no decoding, and identifiers come before names.
    """
    plain = _PLAIN.match(segment)
    fields = plain[0].decode("ascii").split(separator, number + 1) if plain is not None else []
    if len(fields) <= number + 1:
        fields = text.decode(segment, declared, configured).text.split(separator, number + 1)
    return fields[number] if len(fields) > number else ""


@lru_cache(maxsize=4096)
def _components(field: str, repetition: str, component: str) -> tuple[str, ...]:
    """Types, versions and names of systems are the same in message after message."""
    return tuple(part.strip() for part in _split(_split(field, repetition)[0], component))


def _split(value: str, separator: str) -> list[str]:
    return value.split(separator) if separator else [value]
