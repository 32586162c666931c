"""Which characters does a data set hold? Its own label is believed only as far as its bytes bear it out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.codecs import text
from engine.finding import Finding, Severity

SPECIFIC_CHARACTER_SET = "(0008,0005)"
UNICODE = "ISO_IR 192"
REPAIRED = "charset-repaired"
_PADDING = b" \0"
_BETWEEN = b"\n"
"""No character of several bytes holds it, and text that switches character sets starts anew after it."""
_ESCAPE = b"\x1b"
_ALONE = frozenset({"ISO_IR 192", "GB18030", "GBK"})
"""Terms that stand by themselves: they switch to nothing else (PS3.3 C.12.1.1.2)."""
_SINGLE = frozenset(f"ISO_IR {number}" for number in (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203))
_SWITCHED = frozenset(
    f"ISO 2022 IR {number}"
    for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 203)
)
_ONE = _ALONE | _SINGLE | _SWITCHED
_FIRST = _SWITCHED | _SINGLE | {""}
_UNSAFE = re.compile(r"[^0-9A-Za-z _.\\-]")
_SHOWN = 64
"""Characters of a label that are shown: a sender may write anything into it."""
_STARTS_ANEW = frozenset(b"\n\r\t\f^=\\")
"""Behind these a text is in its first character set again (PS3.5 §6.1.2.5.3)."""
_GB_SWITCH = "ISO 2022 IR 58"


@dataclass(frozen=True, slots=True)
class Charset:
    """What a data set says its text is written in, and the Python codec it was read with.

    declared  Specific Character Set as written; empty when it is missing
    repair    whether its label is not what it ought to be, so that it is served in Unicode instead
    """

    declared: str
    used: str
    doubtful: bool
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    texts: dict[str, str]
    charset: Charset
    findings: tuple[Finding, ...]


def decode(declared: bytes, values: Mapping[str, bytes]) -> Decoded:
    """Decodes the one-line texts of a data set together: many values betray a wrong label where one alone would not."""
    label = declared.strip(_PADDING).decode("ascii", "replace").replace("\0", "\ufffd")
    lines = [value.strip(_PADDING).replace(_BETWEEN, b" ") for value in values.values()]
    body = _BETWEEN.join(lines)
    if _ESCAPE in body and (switched := _switched(label, lines)) is not None:
        charset = Charset(label, text.codec_of(label) or text.ASCII, doubtful=False)
        return Decoded(dict(zip(values, switched, strict=True)), charset, ())
    whole = text.decode(body, label or None)
    decoded = whole.text.split("\n")
    if len(decoded) != len(lines):  # bytes that passed for UTF-16, where a line break is another one
        decoded = [text.decode(line, label or None).text for line in lines]
    texts = dict(zip(values, decoded, strict=True))
    findings = tuple(replace(finding, location=SPECIFIC_CHARACTER_SET) for finding in whole.findings)
    why = "" if whole.doubtful or _ESCAPE in body else _wrong(label, body, whole)
    if why:
        findings += (_repaired(label, why, whole),)
    return Decoded(texts, Charset(label, whole.charset, whole.doubtful, bool(why)), findings)


def _wrong(label: str, body: bytes, whole: text.Decoded) -> str:
    """Why a label cannot stay as it is; empty where it can. What is doubtful stays: it would be guessed."""
    if not label:
        return "" if body.isascii() else "it says nothing"
    terms = label.split("\\")
    if not _is_well_formed(terms):
        return "it is no defined term" if text.codec_of(label) is not None or not body.isascii() else ""
    if body.isascii():
        return ""
    if any(finding.code == "charset-mislabelled" for finding in whole.findings):
        return "the bytes are not in it"
    if _GB_SWITCH in terms:
        return "nothing switches to it"
    return ""


def _is_well_formed(terms: Sequence[str]) -> bool:
    if len(terms) == 1:
        return terms[0] in _ONE
    return terms[0] in _FIRST and all(term in _SWITCHED for term in terms[1:])


def _repaired(label: str, why: str, whole: text.Decoded) -> Finding:
    """What the label said, what the bytes are, and what speaks for it."""
    said = f"the label is {_UNSAFE.sub('?', label)[:_SHOWN]}, {why}" if label else "there is no label"
    beyond = "".join(character for character in whole.text if not character.isascii())
    if not beyond:
        bears = "all bytes are ASCII"
    elif whole.charset == text.UTF_8:
        bears = f"{len(beyond)} characters beyond ASCII, all well-formed UTF-8"
    else:
        usual = len(beyond.encode("gb2312", "ignore")) // 2
        bears = f"{len(beyond)} characters beyond ASCII, {usual} of them of GB 2312"
    return Finding(
        REPAIRED,
        f"{said}; read as {whole.charset}: {bears}. Served as {UNICODE}, kept as it was sent",
        Severity.INFORMATION,
        SPECIFIC_CHARACTER_SET,
    )


def _switched(label: str, lines: Sequence[bytes]) -> list[str] | None:
    """Texts that switch between character sets as their label announces (PS3.5 §6.1.2.5); None where one does not.

    GB 2312 is left to others: what writes it, writes characters of GBK among it.
    """
    from pydicom.charset import convert_encodings, decode_bytes

    terms = label.split("\\")
    if not _is_well_formed(terms) or _GB_SWITCH in terms or not any(term in _SWITCHED for term in terms):
        return None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        encodings = convert_encodings(terms)
        read = [decode_bytes(line, encodings, set(_STARTS_ANEW)) for line in lines]
    bad = warned or any("\ufffd" in one or "\0" in one or "\x1b" in one for one in read)
    return None if bad else read
