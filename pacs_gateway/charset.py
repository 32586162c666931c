"""Which characters does a data set hold? Its own label is believed only as far as its bytes bear it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.codecs import text
from engine.finding import Finding

SPECIFIC_CHARACTER_SET = "(0008,0005)"
_PADDING = b" \0"
_BETWEEN = b"\n"
"""No character of several bytes holds it, and text that switches character sets starts anew after it."""


@dataclass(frozen=True, slots=True)
class Charset:
    """What a data set says its text is written in, and the Python codec it was read with.

    declared  Specific Character Set as written; empty when it is missing
    """

    declared: str
    used: str
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    texts: dict[str, str]
    charset: Charset
    findings: tuple[Finding, ...]


def decode(declared: bytes, values: Mapping[str, bytes]) -> Decoded:
    """Decodes the one-line texts of a data set together: many values betray a wrong label where one alone would not."""
    label = declared.strip(_PADDING).decode("ascii", "replace")
    lines = [value.strip(_PADDING).replace(_BETWEEN, b" ") for value in values.values()]
    whole = text.decode(_BETWEEN.join(lines), label or None)
    decoded = whole.text.split("\n")
    if len(decoded) != len(lines):  # bytes that passed for UTF-16, where a line break is another one
        decoded = [text.decode(line, label or None).text for line in lines]
    texts = dict(zip(values, decoded, strict=True))
    findings = tuple(replace(finding, location=SPECIFIC_CHARACTER_SET) for finding in whole.findings)
    return Decoded(texts, Charset(label, whole.charset, whole.doubtful), findings)
