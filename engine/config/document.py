"""What does a YAML file say, and on which line? Plain values with positions, from text that is not trusted.

Only what configuration needs of YAML 1.2: mappings with plain keys, sequences and scalars. A scalar stays the text that
was written (`null`, `~` and nothing at all are None), so that no code loses a zero and no country becomes false; the
model that reads it decides its type. Anchors, aliases and tags are refused: they save typing, and cost us bombs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

LIMIT_BYTES = 256 * 1024
"""A thousand users take a third of this, and the whole of it is read in about a second."""
LIMIT_DEPTH = 20

Value = str | None | list["Value"] | dict[str, "Value"]
Place = tuple[str | int, ...]


class UnreadableDocument(Exception):
    """The file is no YAML that we take. Holds the line (from 1, or 0) and what was expected."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class Document:
    """`value` as written; `lines` gives the line (from 1) of every key and of every item of a sequence by its place."""

    value: Value
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest place around it that exists."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(path: Path) -> Document:
    """Reads one file. Raises UnreadableDocument with a line."""
    try:
        if not path.is_file():
            raise UnreadableDocument(0, "expected a readable file")
        with path.open("rb") as file:
            raw = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise UnreadableDocument(0, f"expected a readable file; the system says: {error.strerror}") from error
    if len(raw) > LIMIT_BYTES:
        raise UnreadableDocument(0, f"expected at most {LIMIT_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableDocument(line, "expected UTF-8 text; save the file as UTF-8") from None
    return parse(text)


def parse(text: str) -> Document:
    """Takes YAML text. Raises UnreadableDocument with a line."""
    lines: dict[Place, int] = {(): 1}
    events = YAML(typ="safe", pure=True).parse(text)
    try:
        value = _document(_trusted(events), lines)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableDocument(line, f"expected text; found the character U+{error.character:04X}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 0
        raise UnreadableDocument(line, f"expected YAML; {error.problem or error.context}") from None
    except YAMLError as error:
        raise UnreadableDocument(0, f"expected YAML; {str(error).splitlines()[0]}") from None
    return Document(value, lines)


def _trusted(events: Iterator[Event]) -> Iterator[Event]:
    """Lets through only the events of one plain document of bounded depth."""
    depth = documents = 0
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor is not None):
            raise UnreadableDocument(
                line, "expected plain YAML without anchors (&) and aliases (*); write the value out"
            )
        if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent) and event.tag is not None:
            raise UnreadableDocument(line, "expected plain YAML without tags (!)")
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise UnreadableDocument(line, "expected one document in a file; found a second '---'")
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
            if depth > LIMIT_DEPTH:
                raise UnreadableDocument(line, f"expected at most {LIMIT_DEPTH} levels of nesting")
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        yield event


def _document(events: Iterator[Event], lines: dict[Place, int]) -> Value:
    value: Value = None
    for event in events:
        if isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            value = _node(event, events, (), lines)
    return value


def _node(event: Event, events: Iterator[Event], place: Place, lines: dict[Place, int]) -> Value:
    if isinstance(event, ScalarEvent):
        return None if event.implicit[0] and event.value in ("", "~", "null", "Null", "NULL") else str(event.value)
    if isinstance(event, SequenceStartEvent):
        return _sequence(events, place, lines)
    return _mapping(events, place, lines)


def _sequence(events: Iterator[Event], place: Place, lines: dict[Place, int]) -> Value:
    items: list[Value] = []
    for event in events:
        if isinstance(event, SequenceEndEvent):
            break
        here = (*place, len(items))
        lines[here] = event.start_mark.line + 1
        items.append(_node(event, events, here, lines))
    return items


def _mapping(events: Iterator[Event], place: Place, lines: dict[Place, int]) -> Value:
    entries: dict[str, Value] = {}
    for event in events:
        if isinstance(event, MappingEndEvent):
            break
        line = event.start_mark.line + 1
        if not isinstance(event, ScalarEvent):
            raise UnreadableDocument(line, "expected a plain word as key")
        key = str(event.value)
        if key in entries:
            raise UnreadableDocument(
                line, f"expected every key once; '{key}' stands first on line {lines[*place, key]}"
            )
        here = (*place, key)
        lines[here] = line
        entries[key] = _node(next(events), events, here, lines)
    return entries
