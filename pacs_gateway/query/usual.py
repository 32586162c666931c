"""Which values are written alike by everybody? Straight to bytes; what is in any way unusual is left to pydicom.

A data set made element by element costs ten times as long, and nearly all that is answered to queries is of this kind.
"""

from __future__ import annotations

import re
import struct

_TEXT = frozenset({"LO", "SH", "PN"})
_SPACES = re.compile(r"^ | $")
_USUAL = {
    "AE": re.compile(r"[!-\[\]-~]{1,16}", re.ASCII),
    "AS": re.compile(r"\d{3}[DWMY]", re.ASCII),
    "CS": re.compile(r"[A-Z0-9_]{1,16}", re.ASCII),
    "DA": re.compile(r"\d{8}", re.ASCII),
    "DT": re.compile(r"\d{8}(\d{6}(\.\d{1,6})?)?", re.ASCII),
    "IS": re.compile(r"0|-?[1-9]\d{0,8}", re.ASCII),
    "TM": re.compile(r"\d{6}(\.\d{1,6})?", re.ASCII),
    "UI": re.compile(r"[0-9.]{1,64}", re.ASCII),
}
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose length has four bytes, after two that are reserved (PS3.5 §7.1.2)."""
_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)


class Unusual(Exception):
    """Something that is to be written the longer way."""


def text(vr: str, value: str, codec: str) -> bytes:
    """A value of a VR of texts in a character set without code extensions, padded. Raises Unusual."""
    if not value:
        return b""
    if "\\" in value or not value.isprintable() or _SPACES.search(value) or value.endswith("="):
        raise Unusual
    try:
        raw = value.encode(codec)
    except UnicodeEncodeError:
        raise Unusual from None
    return raw + b" " if len(raw) % 2 else raw


def code(vr: str, value: str) -> bytes:
    """One value of a VR that has its own characters, padded. Raises Unusual."""
    if not value:
        return b""
    if not _USUAL[vr].fullmatch(value):
        raise Unusual
    return padded(vr, value.encode("ascii", "strict"))


def padded(vr: str, raw: bytes) -> bytes:
    return raw + (b"\0" if vr == "UI" else b" ") if len(raw) % 2 else raw


def is_text(vr: str) -> bool:
    """Whether the characters of this VR are those of the data set (PS3.5 §6.1.2.3)."""
    return vr in _TEXT


def is_known(vr: str) -> bool:
    """Whether `text` or `code` write values of this VR."""
    return vr in _TEXT or vr in _USUAL


def header(tag: int, vr: str, explicit: bool) -> tuple[bytes, struct.Struct]:
    """What stands before the length, and how that is written (PS3.5 §7.1.2, §7.1.3); little endian."""
    raw = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return raw, struct.Struct("<I")
    if vr in _LONG:
        return raw + vr.encode() + b"\0\0", struct.Struct("<I")
    return raw + vr.encode(), struct.Struct("<H")


def item(content: bytes) -> bytes:
    """An item of a sequence, of defined length (PS3.5 §7.5.1)."""
    return _ITEM + struct.pack("<I", len(content)) + content
