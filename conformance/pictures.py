"""Is what came back a picture, and how large? Read from its first bytes, without trusting its label."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from conformance.errors import UnexpectedAnswerError

_PNG = b"\x89PNG\r\n\x1a\n"
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG with its size in pixels, or an SVG with the names of leads drawn in it."""

    kind: str
    columns: int = 0
    rows: int = 0
    leads: tuple[str, ...] = ()


def picture_of(content: bytes) -> Picture:
    """Raises UnexpectedAnswerError for anything but a whole PNG or an SVG."""
    if content.startswith(_PNG):
        if content[12:16] != b"IHDR" or b"IEND" not in content[-12:]:
            raise UnexpectedAnswerError("a PNG that is not whole")
        columns, rows = struct.unpack(">II", content[16:24])
        return Picture("PNG", columns, rows)
    text = content.decode("utf-8", errors="replace")
    if re.match(r"\s*(<\?xml[^>]*\?>\s*)?<svg[\s>]", text):
        words = set(re.findall(r">\s*([A-Za-z0-9]+)\s*<", text))
        return Picture("SVG", leads=tuple(lead for lead in LEADS if lead in words))
    raise UnexpectedAnswerError("neither PNG nor SVG")
