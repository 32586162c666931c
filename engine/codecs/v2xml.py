"""What does an HL7 v2 message in its XML encoding say? `<ADT_A01 xmlns="urn:hl7-org:v2xml">` → the model of er7.

The same Message comes of it as of ER7, its fields under the same names (PID-5.1), so nothing behind the codecs knows
which encoding a message came in. A document type declaration is refused before anything of it is read, so there are no
entities to expand and nothing to fetch; expat opens no file and no connection by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NoReturn
from xml.parsers import expat

from engine.codecs import er7, er7_header, text
from engine.codecs.er7_escape import escape
from engine.codecs.er7_header import USUAL, Header
from engine.errors import ParseError
from engine.finding import Finding

NAMESPACE = "urn:hl7-org:v2xml"
MAX_BYTES = 64 * 1024 * 1024
"""Looked at before a byte is decoded: text that is far beyond any message is refused for its size alone."""
MAX_ELEMENTS = 400_000
"""Each becomes an object; a result with 10,000 lines has a quarter of it."""
MAX_DEPTH = 24
"""Groups within groups, then segment, field, component, subcomponent; the deepest structures of v2.8 need 12."""
MAX_FIELD = 999
MAX_PART = 99
"""A number within a name becomes as many separators."""

_BLANK = b" \t\r\n\x00"
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe<\x00", b"\xfe\xff\x00<")
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._\- ]{1,40})["']""")
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_NUMBERED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.([0-9]{1,4})")
_CHARSET_FIELD = 18


class XmlHeader(Header):
    """MSH of a message that came as XML; it is answered in XML. `codec` is the one of the document."""

    __slots__ = ()


class XmlMessage(er7.Message):
    """A message that came as XML: its segments as ER7 would write them, its bytes as they are."""

    def __init__(self, payload: bytes, decoded: text.Decoded, written: er7.Message, findings: list[Finding]) -> None:
        super().__init__(payload, decoded, written.lines, [*decoded.findings, *findings, *written.findings])

    def byte_range(
        self, segment: int, field: int, rep: int | None = None, comp: int | None = None, sub: int | None = None
    ) -> tuple[int, int]:
        """Where the content of an element stands in the payload; of one that is not there, the end of that around it.

        A value without elements of its own is its first component and subcomponent too.
        """
        whole = rep is None and comp is None and sub is None
        wanted = (segment, field, None if whole else rep or 0, comp or (1 if sub else None), sub)
        for kept in range(5, 0, -1):
            found = self._spans.get((*wanted[:kept], *[None] * (5 - kept)))
            if found is not None:
                there = all(part in (None, 1) for part in wanted[max(kept, 3) :]) and (kept > 2 or wanted[2] is None)
                return found if there and (kept > 1 or field == 0) else (found[1], found[1])
        return len(self.payload), len(self.payload)

    @cached_property
    def _spans(self) -> dict[tuple[int | None, ...], tuple[int, int]]:
        """Content of every element, by segment, field, repetition, component and subcomponent, in bytes of the payload.

        Where the document is not UTF-8 it was parsed from a copy that is; places are counted in characters between.
        """
        content = _decoded(self.payload, self.charset).text
        document = content.encode()
        reader = _Reader(document, positions=True)
        reader.read()
        if self.payload.endswith(document):
            before = len(self.payload) - len(document)
            return {key: (start + before, end + before) for key, (start, end) in reader.spans.items()}
        before = len(self.payload) - len(content.encode(self.charset, "replace"))

        def place(at: int) -> int:
            return before + len(document[:at].decode().encode(self.charset, "replace"))

        return {key: (place(start), place(end)) for key, (start, end) in reader.spans.items()}


def is_xml(payload: bytes) -> bool:
    """Whether the first character that is not blank opens an element."""
    opening = payload[:64]
    return opening.removeprefix(_BOM).lstrip(_BLANK)[:1] == b"<" or opening.startswith(_UTF_16)


def declared_charset(payload: bytes) -> str:
    """What the XML declaration names; empty when it names nothing."""
    declared = _DECLARED.search(payload[:400])
    return declared[1].decode("ascii") if declared else ""


def peek(payload: bytes, configured_charset: str | None, channel: str) -> XmlHeader:
    """The header of a message, and the keys of its envelope. Raises ParseError as `parse` does."""
    decoded = _decoded(payload, configured_charset)
    header = er7_header.peek(_as_er7(_Reader(decoded.text.encode())), text.UTF_8, channel)
    return XmlHeader(
        header.separators, header.msh, decoded.charset, header.patient_ids, header.control_key, header.content_key
    )


def parse(payload: bytes, configured_charset: str | None = None) -> XmlMessage:
    """Reads a message; what is odd in it becomes findings.

    Raises ParseError: `xml-too-large`, `xml-doctype`, `xml-malformed`, `xml-not-hl7`, `msh-missing`. MSH-18 is left
    out of the model: what an XML document is written in stands in its declaration.
    """
    decoded = _decoded(payload, configured_charset)
    reader = _Reader(decoded.text.encode())
    written = er7.parse(_as_er7(reader), text.UTF_8)
    return XmlMessage(payload, replace(decoded, text=written.text), written, reader.findings())


def _decoded(payload: bytes, configured: str | None) -> text.Decoded:
    """The document as text: its declaration is believed as MSH-18 is, and no further."""
    if len(payload) > MAX_BYTES:
        raise ParseError(f"an XML message may have {MAX_BYTES // 1024 // 1024} MiB", code="xml-too-large")
    decoded = text.decode(payload, declared_charset(payload), configured)
    return replace(decoded, text=decoded.text.lstrip("\ufeff \t\r\n\x00\ufffd"))


def _as_er7(reader: _Reader) -> bytes:
    return "".join(f"{line}\r" for line in reader.read()).encode()


@dataclass(slots=True)
class _Node:
    """An element below a segment: its numbered children in order, or its text (already ER7)."""

    number: int
    children: list[_Node] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


class _Reader:
    """One pass of expat over a document: segments as lines of ER7, and where each value stands."""

    def __init__(self, document: bytes, *, positions: bool = False) -> None:
        self._document = document
        self._positions = positions
        self._lines: list[str] = []
        self._depth = self._elements = 0
        self._segment = ""
        self._inside: list[_Node] = []
        self._starts: list[tuple[tuple[int | None, ...], int]] = []
        self._skipped = 0
        self._unknown: dict[str, None] = {}
        self.spans: dict[tuple[int | None, ...], tuple[int, int]] = {}
        # The encoding given here overrides the declaration: the document was decoded before.
        parser = self._parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.buffer_text = True

    def read(self) -> list[str]:
        """The segments as ER7 writes them. Raises ParseError."""
        try:
            self._parser.Parse(self._document, True)
        except expat.ExpatError as error:
            raise ParseError(
                f"the XML is not well formed: {expat.ErrorString(error.code)}, line {error.lineno}",
                code="xml-malformed",
            ) from None
        if not self._lines or not self._lines[0].startswith("MSH"):
            raise ParseError("the message does not begin with MSH", code="msh-missing")
        return self._lines

    def findings(self) -> list[Finding]:
        return [
            Finding("xml-element-unknown", "an element is none of this segment; it is kept, and nothing is made of it",
                    location=place)
            for place in self._unknown
        ]  # fmt: skip

    # ── what expat tells ────────────────────────────────────────────────────────────────────────────────────────────

    def _doctype(self, *_: object) -> NoReturn:
        raise ParseError("a document type declaration is not accepted", code="xml-doctype")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._elements > MAX_ELEMENTS or self._depth > MAX_DEPTH:
            raise ParseError("the XML has more elements than any message", code="xml-too-large")
        namespace, _, local = name.rpartition(" ")
        if self._depth == 1:
            if namespace not in ("", NAMESPACE):
                raise ParseError(f"expected a message of the namespace {NAMESPACE}", code="xml-not-hl7")
        elif self._skipped:
            self._skipped += 1
        elif not self._segment:
            if _SEGMENT.fullmatch(local):
                self._segment = local
                self._inside = [_Node(0)]
                self._begin()
        elif local == "escape":
            self._inside[-1].said.append(f"\\{attributes.get('V', '').replace(chr(92), '')}\\")
            self._skipped = 1
        elif (number := self._number(local)) is None:
            self._unknown[f"{self._segment} {local}"[:60]] = None
            self._skipped = 1
        else:
            node = _Node(number)
            self._inside[-1].children.append(node)
            self._inside.append(node)
            self._begin()

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._skipped:
            self._skipped -= 1
        elif self._segment:
            self._finish()
            node = self._inside.pop()
            if not self._inside:
                self._lines.append(_line(self._segment, node))
                self._segment = ""

    def _characters(self, data: str) -> None:
        if self._segment and not self._skipped and len(self._inside) > 1:
            self._inside[-1].said.append(escape(data, USUAL))

    def _number(self, local: str) -> int | None:
        """The number of a field or component from its name; None for a name that is none here."""
        found = _NUMBERED.fullmatch(local)
        if found is None or (len(self._inside) == 1 and not local.startswith(f"{self._segment}.")):
            return None
        number = int(found[1])
        return number if 0 < number <= (MAX_FIELD if len(self._inside) == 1 else MAX_PART) else None

    # ── positions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        if self._positions:
            at = self._parser.CurrentByteIndex
            self._starts.append((self._key(), self._document.find(b">", at) + 1))

    def _finish(self) -> None:
        if self._positions:
            key, start = self._starts.pop()
            end = max(start, self._parser.CurrentByteIndex)
            self.spans[key] = (start, end)
            if len(self._inside) == 2:  # the field as a whole reaches from its first repetition to its last
                field_key = (*key[:2], None, None, None)
                self.spans[field_key] = (self.spans.get(field_key, (start, end))[0], end)

    def _key(self) -> tuple[int | None, ...]:
        """Segment, field, repetition, component and subcomponent of the element that is open now."""
        path: list[int | None] = [len(self._lines)]
        if len(self._inside) > 1:
            number = self._inside[1].number
            before = sum(1 for node in self._inside[0].children if node.number == number)
            path += [number, before - 1, *(node.number for node in self._inside[2:4])]
        return (*path[:5], *[None] * (5 - len(path)))


def _line(name: str, segment: _Node) -> str:
    fields: dict[int, list[str]] = {}
    for node in segment.children:
        fields.setdefault(node.number, []).append(_repetition(node))
    if name == "MSH":
        fields[1], fields[2] = [""], [USUAL.encoding_characters]
        fields.pop(_CHARSET_FIELD, None)
    numbers = range(2 if name == "MSH" else 1, max(fields, default=0) + 1)
    return USUAL.field.join((name, *(USUAL.repetition.join(fields.get(number, ())) for number in numbers)))


def _repetition(node: _Node) -> str:
    return _joined(node, USUAL.component, _component)


def _component(node: _Node) -> str:
    return _joined(node, USUAL.subcomponent, _leaf)


def _joined(node: _Node, separator: str, write: Callable[[_Node], str]) -> str:
    """Children by their numbers; the text of an element that has none."""
    if not node.children:
        return _leaf(node)
    parts = {child.number: write(child) for child in node.children}
    return separator.join(parts.get(number, "") for number in range(1, max(parts) + 1))


def _leaf(node: _Node) -> str:
    """The text; of a type within a subcomponent (TS within DR within XPN), its first part."""
    while node.children:
        node = node.children[0]
    return "".join(node.said).strip(" \t")
