"""What does a message say? ER7: bytes → segments and fields with their positions kept, and values → bytes.

A message is decoded whole, then split: first segments, then fields; repetitions, components and escapes only where
somebody looks. Fields are numbered from 1 as HL7 numbers them (MSH-1 is the separator itself), components and
subcomponents from 1, repetitions from 0.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple, TypeAlias

from engine.codecs import text
from engine.codecs.er7_escape import escape, unescape
from engine.codecs.er7_header import (
    USUAL,
    Separators,
    declared_charset,
    message_start,
    read_separators,
    segment_end,
)
from engine.errors import ParseError
from engine.finding import Finding, Severity

NULL = '""'
"""HL7 null: the sender deletes the value. An empty field says nothing."""

_HEADER = "MSH"

MAX_SEGMENTS = 200_000
"""Far beyond any message; 16 MB of line ends would else become gigabytes of segments."""


class Lines(NamedTuple):
    """A text split into segments.

    texts  each segment as it stands
    rows   its raw fields by number; at 0 the name, and of MSH the separator at 1
    names  the names in their order
    """

    separators: Separators
    texts: list[str]
    rows: list[list[str]]
    names: tuple[str, ...]


class Segment:
    """One segment. `fields[n]` is field n, raw; `fields[0]` the name; MSH-1 and MSH-2 stand at 1 and 2."""

    __slots__ = ("charset", "fields", "name", "separators", "text")

    def __init__(self, content: str, fields: list[str], separators: Separators, charset: str) -> None:
        self.text = content
        self.separators = separators
        self.charset = charset
        self.fields = fields
        self.name = fields[0]

    def __repr__(self) -> str:
        return f"<Segment {self.name} with {len(self.fields) - 1} fields>"

    def field(self, number: int) -> str:
        """The raw field; empty when the segment ends before it."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """The raw repetitions of a field; none when the field is empty."""
        raw = self.field(number)
        if not raw:
            return []
        separator = self.separators.repetition
        if not separator or (number == 2 and self.name == "MSH"):
            return [raw]
        return raw.split(separator)

    def components(self, raw: str) -> list[str]:
        """The raw components of a repetition."""
        return raw.split(self.separators.component) if self.separators.component else [raw]

    def subcomponents(self, raw: str) -> list[str]:
        """The raw subcomponents of a component."""
        return raw.split(self.separators.subcomponent) if self.separators.subcomponent else [raw]

    def value(self, number: int, rep: int = 0, comp: int = 1, sub: int = 1) -> str:
        """One leaf without its escapes; empty when there is none, `NULL` when the sender deletes it."""
        if number >= len(self.fields):
            return ""
        raw = self.fields[number]
        separators = self.separators
        if number <= 2 and self.name == "MSH":
            return raw
        if separators.repetition and (rep or separators.repetition in raw):
            repetitions = raw.split(separators.repetition)
            if rep >= len(repetitions):
                return ""
            raw = repetitions[rep]
        elif rep:
            return ""
        for separator, position in ((separators.component, comp), (separators.subcomponent, sub)):
            if separator and separator in raw:
                parts = raw.split(separator)
                if position > len(parts):
                    return ""
                raw = parts[position - 1]
            elif position > 1:
                return ""
        return self.unescape(raw)

    def unescape(self, raw: str) -> str:
        """Raw text without its escape sequences."""
        character = self.separators.escape
        return unescape(raw, self.separators, self.charset) if character and character in raw else raw


class Message:
    """A parsed message: its segments in order, and the bytes they came from.

    Who needs all raw fields and nothing else takes `lines`: segments are made when somebody asks for them.
    """

    def __init__(self, payload: bytes, decoded: text.Decoded, lines: Lines, findings: list[Finding]) -> None:
        self.payload = payload
        self.text = decoded.text
        self.charset = decoded.charset
        self.lines = lines
        self.findings = findings

    @property
    def separators(self) -> Separators:
        return self.lines.separators

    @cached_property
    def segments(self) -> list[Segment]:
        separators, texts, rows, _ = self.lines
        return [Segment(content, row, separators, self.charset) for content, row in zip(texts, rows, strict=True)]

    @property
    def header(self) -> Segment:
        """MSH."""
        separators, texts, rows, _ = self.lines
        return Segment(texts[0], rows[0], separators, self.charset)

    @cached_property
    def message_type(self) -> str:
        """`ADT^A04`; `ACK` where there is no trigger event."""
        header = self.header
        code, event = header.value(9), header.value(9, comp=2)
        return f"{code}^{event}" if event else code

    @property
    def control_id(self) -> str:
        return self.header.value(10)

    def named(self, name: str) -> list[Segment]:
        """The segments of a name, in order."""
        return [segment for segment in self.segments if segment.name == name]

    def byte_range(
        self, segment: int, field: int, rep: int | None = None, comp: int | None = None, sub: int | None = None
    ) -> tuple[int, int]:
        """Where a field, or a part of it, stands in the payload: first byte, and the byte after the last.

        A part that is not there has an empty range at the end of the smallest part around it.
        """
        start, end = self._char_range(self.segments[segment], field, rep, comp, sub)
        character, byte = self._segment_starts[segment]
        content = self._source[character : character + len(self.segments[segment].text)]
        if self._byte_offsets is not None:
            return self._byte_offsets[character + start], self._byte_offsets[character + end]
        before = len(content[:start].encode(self.charset))
        return byte + before, byte + before + len(content[start:end].encode(self.charset))

    def _char_range(
        self, segment: Segment, field: int, rep: int | None, comp: int | None, sub: int | None
    ) -> tuple[int, int]:
        separators = segment.separators
        if segment.name == "MSH" and field <= 2:
            at = 3 if field == 1 else 4
            return at, at + len(segment.field(field))
        index = field - 1 if segment.name == "MSH" else field
        start, end = _part(segment.text, 0, len(segment.text), separators.field, index)
        if rep is not None or comp is not None or sub is not None:
            start, end = _part(segment.text, start, end, separators.repetition, rep or 0)
        if comp is not None or sub is not None:
            start, end = _part(segment.text, start, end, separators.component, (comp or 1) - 1)
        if sub is not None:
            start, end = _part(segment.text, start, end, separators.subcomponent, sub - 1)
        return start, end

    @cached_property
    def _body_start(self) -> int:
        return len(codecs.BOM_UTF8) if self.payload.startswith(codecs.BOM_UTF8) else 0

    @cached_property
    def _source(self) -> str:
        """The text with U+0000 where the payload has it, so that it encodes to as many bytes."""
        return self.payload[self._body_start :].decode(self.charset, "replace")

    @cached_property
    def _byte_offsets(self) -> list[int] | None:
        """The byte at which each character begins; None when encoding the text gives the payload back."""
        body = self.payload[self._body_start :]
        if self._source.encode(self.charset, "replace") == body:
            return None
        decoder = codecs.getincrementaldecoder(self.charset)("replace")
        offsets, begun = [], 0
        for at in range(len(body)):
            produced = decoder.decode(body[at : at + 1])
            for extra in range(len(produced)):
                offsets.append(self._body_start + (begun if extra == 0 else at))
            if produced:
                begun = at + 1
        offsets.extend(self._body_start + begun for _ in decoder.decode(b"", final=True))
        return [*offsets, len(self.payload)]

    @cached_property
    def _segment_starts(self) -> list[tuple[int, int]]:
        """The character and the byte at which each segment begins."""
        starts, character, byte = [], 0, self._body_start
        for segment in self.segments:
            at = self.text.index(segment.text, character)
            byte += len(self._source[character:at].encode(self.charset, "replace"))
            starts.append((at, byte))
            byte += len(self._source[at : at + len(segment.text)].encode(self.charset, "replace"))
            character = at + len(segment.text)
        return starts


def parse(payload: bytes, configured_charset: str | None = None) -> Message:
    """Splits a message; what is odd in it becomes findings.

    Raises ParseError: no usable MSH at its beginning (`msh-missing`, `separators-unusable`), `too-many-segments`.
    """
    start = message_start(payload)
    declared = declared_charset(payload[start : segment_end(payload, start)], configured_charset)
    decoded = text.decode(payload, declared, configured_charset)
    content = decoded.text[decoded.text.index("MSH") :]
    separator = content[3]
    if "\n" in content:
        content = _segment_line_feeds(separator).sub("\r", content)
    if len(content) > MAX_SEGMENTS and content.count("\r") > MAX_SEGMENTS:
        raise ParseError(f"the message has more than {MAX_SEGMENTS} segments", code="too-many-segments")
    lines = _lines(content, separator)
    return Message(payload, decoded, lines, [*decoded.findings, *_doubts(lines, content)])


def _lines(content: str, separator: str) -> Lines:
    texts = content.split("\r")
    if "\n" in content:
        texts = [line.lstrip("\n") for line in texts]
    texts = [line for line in texts if line and not line.isspace()]
    rows = [line.split(separator) for line in texts]
    separators = read_separators(separator, rows[0][1] if len(rows[0]) > 1 else "")
    names = tuple([row[0] for row in rows])
    for row in rows if names.count(_HEADER) > 1 else rows[:1]:
        if row[0] == _HEADER:
            row.insert(1, separator)
    return Lines(separators, texts, rows, names)


@lru_cache(maxsize=64)
def _segment_line_feeds(separator: str) -> re.Pattern[str]:
    """A line feed ends a segment when another begins after it; else it belongs to a text that holds line ends."""
    return re.compile(rf"\n(?=[A-Z][A-Z0-9]{{2}}(?:{re.escape(separator)}|[\r\n]|$)|[\r\n]|$)")


def _doubts(lines: Lines, content: str) -> Iterator[Finding]:
    """What a person should look at: one finding for each kind and place, however often it occurs."""
    names = lines.names
    if not all(map(_named, set(names))):
        unnamed = [position for position, name in enumerate(names, start=1) if not _named(name)]
        yield Finding(
            "segment-unnamed",
            f"{len(unnamed)} of {len(names)} segments do not begin with a name",
            location=f"segment {unnamed[0]}",
        )
    if names.count(_HEADER) > 1:
        yield Finding(
            "several-messages",
            "another message begins inside this one: only one may stand in a block",
            Severity.ERROR,
            location=f"segment {names.index(_HEADER, 1) + 1}",
        )
    character = lines.separators.escape
    # It stands in MSH-2 once; mostly that is all, and a single character is found faster than a pattern.
    if (
        character
        and content.find(character, content.find(character) + 1) >= 0
        and _kept_escape(character).search(content)
    ):
        for location in dict.fromkeys(_kept_escapes(lines, _kept_escape(character))):
            yield Finding(
                "escape-kept", "an escape that switches the character set is kept as it stands", location=location
            )


@lru_cache(maxsize=1024)
def _named(name: str) -> bool:
    return len(name) == 3 and name.isalnum() and name.isupper()


@lru_cache(maxsize=64)
def _kept_escape(character: str) -> re.Pattern[str]:
    mark = re.escape(character)
    return re.compile(f"{mark}[CM](?:[0-9A-Fa-f]{{2}}){{2,3}}{mark}")


def _kept_escapes(lines: Lines, pattern: re.Pattern[str]) -> Iterator[str]:
    for row in lines.rows:
        for number, raw in enumerate(row):
            if pattern.search(raw):
                yield f"{row[0]}-{number}"


def _part(content: str, start: int, end: int, separator: str, position: int) -> tuple[int, int]:
    """Where part number `position` (from 0) of content[start:end] stands; empty at its end when there is none."""
    for _ in range(position):
        at = content.find(separator, start, end) if separator else -1
        if at < 0:
            return end, end
        start = at + len(separator)
    at = content.find(separator, start, end) if separator else -1
    return start, end if at < 0 else at


class Raw(str):
    """A field that is already ER7: written as it stands."""

    __slots__ = ()


Component: TypeAlias = str | tuple[str, ...]
Repetition: TypeAlias = str | tuple[Component, ...]
Value: TypeAlias = str | tuple[Component, ...] | list[Repetition]


class Er7Writer:
    """Builds a message: `add` segments in order, then `encode`.

    A field value is a str (one leaf), a tuple (components, each a str or a tuple of subcomponents) or a list
    (repetitions). Leaves are escaped; empty fields, components and repetitions at the end are left out.
    MSH-1, MSH-2 and, unless given, MSH-18 are written from the separators and the charset.
    """

    def __init__(self, charset: str = text.UTF_8, separators: Separators = USUAL) -> None:
        self._charset = charset
        self._separators = separators
        self._lines: list[str] = []

    def add(self, name: str, fields: Mapping[int, Value]) -> None:
        """Adds a segment from its fields by number."""
        separators = self._separators
        if name == "MSH":
            fields = {18: text.hl7_label(self._charset), **fields, 2: Raw(separators.encoding_characters)}
        first = 2 if name == "MSH" else 1
        last = max((number for number, value in fields.items() if value), default=0)
        written = [self._field(fields[n]) if n in fields else "" for n in range(first, last + 1)]
        self._lines.append(separators.field.join((name, *written)))

    def encode(self) -> bytes:
        """The message's bytes, every segment ended by CR.

        Raises MappingError (`charset-cannot-carry`) when a character does not exist in the charset.
        """
        return text.encode("".join(f"{line}\r" for line in self._lines), self._charset)

    def _field(self, value: Value) -> str:
        if isinstance(value, list):
            written = [self._repetition(repetition) for repetition in value]
            return _joined(self._separators.repetition, written)
        return self._repetition(value)

    def _repetition(self, value: Repetition) -> str:
        if isinstance(value, tuple):
            return _joined(self._separators.component, [self._component(component) for component in value])
        return self._component(value)

    def _component(self, value: Component) -> str:
        if isinstance(value, tuple):
            return _joined(self._separators.subcomponent, [self._component(leaf) for leaf in value])
        return value if isinstance(value, Raw) else escape(value, self._separators)


def _joined(separator: str, parts: Sequence[str]) -> str:
    last = max((position for position, part in enumerate(parts) if part), default=-1)
    return separator.join(parts[: last + 1])
