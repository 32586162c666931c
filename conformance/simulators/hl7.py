"""How does an outside system write and read an HL7 v2 message? Plainly, in the one charset it knows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = str | tuple[str, ...] | list["str | tuple[str, ...]"]
"""A field: plain text, a tuple of components, or a list of repetitions of either."""

CHARSET_NAMES = {"gb18030": "GB 18030-2000", "utf-8": "UNICODE UTF-8", "ascii": "ASCII"}
"""What MSH-18 says for a charset (HL7 table 0211)."""

_ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\", "\r": "\\X0D\\", "\n": "\\X0A\\"}
_UNESCAPES = {"E": "\\", "F": "|", "S": "^", "R": "~", "T": "&", ".br": "\n"}
_TO_ESCAPE = re.compile(r"[\\|^~&\r\n]")
_ESCAPED = re.compile(r"\\(E|F|S|R|T|\.br|X(?:[0-9A-Fa-f]{2})+)\\")


def segment(name: str, fields: Mapping[int, Value]) -> str:
    """One segment by field number; of MSH the first field written is MSH-3."""
    written = [_field(fields[number]) if number in fields else "" for number in range(1, max(fields, default=0) + 1)]
    if name == "MSH":
        return "|".join(["MSH", "^~\\&", *written[2:]])
    return "|".join([name, *written])


def message(*segments: str, charset: str) -> bytes:
    """The bytes of a message: segments ended by CR, in this charset."""
    return "".join(f"{line}\r" for line in segments).encode(charset)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the receiving system reads it: `payload` decoded in the charset that this system knows."""

    payload: bytes
    segments: tuple[tuple[str, ...], ...]

    def all(self, name: str) -> list[tuple[str, ...]]:
        return [fields for fields in self.segments if fields[0] == name]

    def value(self, name: str, field: int, component: int = 1) -> str:
        """The first repetition's component in the first segment of that name, unescaped; empty when absent."""
        found = self.all(name)
        return value_of(found[0], field, component) if found else ""


def read(payload: bytes, charset: str) -> Message:
    """Raises UnicodeDecodeError when the bytes are not in the charset that this system knows."""
    lines = payload.decode(charset).split("\r")
    return Message(payload, tuple(tuple(line.split("|")) for line in lines if line.strip()))


def value_of(fields: Sequence[str], field: int, component: int = 1) -> str:
    position = field - 1 if fields[0] == "MSH" else field
    if position >= len(fields):
        return ""
    components = fields[position].split("~")[0].split("^")
    return _unescape(components[component - 1]) if component <= len(components) else ""


def _field(value: Value) -> str:
    if isinstance(value, list):
        return "~".join(_repetition(each) for each in value)
    return _repetition(value)


def _repetition(value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return "^".join(_escape(component) for component in value).rstrip("^")
    return _escape(value)


def _escape(text: str) -> str:
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)


def _unescape(text: str) -> str:
    def replaced(found: re.Match[str]) -> str:
        code = found[1]
        return bytes.fromhex(code[1:]).decode("latin-1") if code[0] == "X" else _UNESCAPES[code]

    return _ESCAPED.sub(replaced, text)
