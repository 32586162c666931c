"""Which characters does a data set hold? Its own label is believed only as far as its bytes bear it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from engine.codecs import text
from engine.finding import Finding

SPECIFIC_CHARACTER_SET = "(0008,0005)"
_ESCAPE = b"\x1b"
_PADDING = b" \0"


@dataclass(frozen=True, slots=True)
class Charset:
    """What a data set says its text is written in, and what it was read as.

    declared  Specific Character Set as written; empty when it is missing
    used      a Python codec, or `iso2022` where the text itself switches character sets (PS3.5 §6.1.2.5)
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
    """Decodes all text of one data set together: many values betray a wrong label where one alone would not."""
    label = declared.strip(_PADDING).decode("ascii", "replace")
    stripped = {name: value.strip(_PADDING) for name, value in values.items()}
    joined = b"\n".join(stripped.values())
    if _ESCAPE in joined and "\\" in label:
        return _decode_switching(label, stripped)
    whole = text.decode(joined, label or None)
    texts = {name: text.decode(value, whole.charset).text for name, value in stripped.items()}
    findings = tuple(replace(finding, location=SPECIFIC_CHARACTER_SET) for finding in whole.findings)
    return Decoded(texts, Charset(label, whole.charset, whole.doubtful), findings)


def _decode_switching(label: str, values: Mapping[str, bytes]) -> Decoded:
    encodings = convert_encodings(label.split("\\"))
    texts = {
        name: decode_bytes(value, encodings, PN_DELIMS if name.endswith("name") else TEXT_VR_DELIMS).replace(
            "\0", "\ufffd"
        )
        for name, value in values.items()
    }
    doubtful = any("\ufffd" in value for value in texts.values())
    findings = (
        (Finding("charset-doubtful", "the text does not fit its code extensions", location=SPECIFIC_CHARACTER_SET),)
        if doubtful
        else ()
    )
    return Decoded(texts, Charset(label, "iso2022", doubtful), findings)
