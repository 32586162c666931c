"""What does an escape sequence stand for? ER7 escapes, both ways (HL7 v2.5.1 chapter 2.7).

Formatting commands of FT become line ends or nothing; sequences that switch the character set (\\Cxxyy\\, \\Mxxyyzz\\)
and unknown ones are kept as they stand.
"""

from __future__ import annotations

import re
from functools import lru_cache

from engine.codecs.er7_header import Separators

_NEWLINES = re.compile(r"\r\n|\r|\n")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")
_BLANK_LINES = re.compile(r"\.sp\+?(\d{0,3})")
_FORMATTING = re.compile(r"H|N|\.(?:fi|nf|in[+-]?\d*|ti[+-]?\d*|sk[+-]?\d*)")


@lru_cache(maxsize=64)
def _sequence(character: str) -> re.Pattern[str]:
    """A run of escape sequences; a run, because one character's bytes may stand in several \\X..\\."""
    mark = re.escape(character)
    return re.compile(f"(?:{mark}[^{mark}\r\n]{{1,2048}}{mark})+")


def unescape(raw: str, separators: Separators, charset: str) -> str:
    """Raw text with every sequence replaced by what it stands for."""
    return _sequence(separators.escape).sub(lambda run: _meaning(run[0], separators, charset), raw)


def _meaning(run: str, separators: Separators, charset: str) -> str:
    meant: list[str] = []
    pending = b""
    for body in run[1:-1].split(separators.escape * 2):
        if hexadecimal := _HEX.fullmatch(body):
            pending += bytes.fromhex(hexadecimal[1])
            continue
        meant.append(_characters(pending, charset))
        pending = b""
        meant.append(_single(body, separators))
    meant.append(_characters(pending, charset))
    return "".join(meant)


def _single(body: str, separators: Separators) -> str:
    named = {
        "F": separators.field,
        "S": separators.component,
        "R": separators.repetition,
        "E": separators.escape,
        "T": separators.subcomponent,
        "P": separators.truncation,
        ".br": "\n",
        ".ce": "\n",
    }
    if named.get(body):
        return named[body]
    if blank := _BLANK_LINES.fullmatch(body):
        return "\n" * int(blank[1] or 1)
    return "" if _FORMATTING.fullmatch(body) else f"{separators.escape}{body}{separators.escape}"


def _characters(data: bytes, charset: str) -> str:
    """The characters of \\X..\\ in the message's own charset; U+0000 cannot be kept as text."""
    return data.decode(charset, "replace").replace("\0", "\ufffd") if data else ""


def escape(value: str, separators: Separators) -> str:
    """A value that may stand in a leaf: separators, line ends and control characters escaped.

    A separator that the message does not have needs no escape; without an escape character nothing can be escaped,
    and what would split the field becomes a blank.
    """
    mark = separators.escape
    if mark:
        value = value.replace(mark, f"{mark}E{mark}")
    for character, letter in (
        (separators.field, "F"),
        (separators.component, "S"),
        (separators.repetition, "R"),
        (separators.subcomponent, "T"),
        (separators.truncation, "P"),
    ):
        if character and character in value:
            value = value.replace(character, f"{mark}{letter}{mark}" if mark else " ")
    if value.isprintable():
        return value
    value = _NEWLINES.sub(lambda _: f"{mark}.br{mark}" if mark else " ", value)
    return _CONTROLS.sub(lambda c: f"{mark}X{ord(c[0]):02X}{mark}" if mark else " ", value)
