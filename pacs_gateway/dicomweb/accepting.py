"""Which representation does a client take? Accept headers with the types and transfer syntaxes that PS3.18 puts there.

A client that names no transfer syntax gets objects, and frames as images, as they are stored, though PS3.18 §8.7.3.5.2
makes Explicit VR Little Endian the default: nothing is encoded anew for who did not ask for it. Octets without one are
pixels (§8.7.3.3): who asks for them reads them as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN

MULTIPART = "multipart/related"
ANYTHING = "*/*"
OCTET_STREAM = "application/octet-stream"

_LONGEST = 4096
_REMEMBERED = 256
"""Headers: a client sends the same few."""
_PARAMETER = re.compile(r';\s*([!#-\'*+\-.^`|~\w]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))')
_RANGE = re.compile(r'\s*([^\s;,"]+)((?:[^",]|"(?:[^"\\]|\\.)*")*)(?:,|$)')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range.

    media_type       in lower case; of a multipart/related range the type of its parts, */* when it names none
    multipart        whether it asks for parts
    transfer_syntax  empty when it names none
    """

    media_type: str
    multipart: bool
    transfer_syntax: str
    quality: float

    def takes(self, media_type: str, transfer_syntax: str = "") -> bool:
        wanted, _, kind = self.media_type.partition("/")
        family, _, member = media_type.partition("/")
        if wanted not in ("*", family) or kind not in ("*", member):
            return False
        pixels = media_type == OCTET_STREAM and self.media_type != ANYTHING
        named = self.transfer_syntax or (EXPLICIT_VR_LITTLE_ENDIAN if pixels else "*")
        return not transfer_syntax or named in ("*", transfer_syntax)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a request takes, best first."""

    ranges: tuple[Range, ...]

    def parts(self, media_type: str, transfer_syntax: str = "") -> bool:
        """Whether it takes several parts of a type."""
        return any(
            (one.multipart or one.media_type == ANYTHING) and one.takes(media_type, transfer_syntax)
            for one in self.ranges
        )

    def single(self, media_type: str, transfer_syntax: str = "") -> bool:
        """Whether it asks for one representation by itself, and does not prefer to have it in a multipart."""
        for one in self.ranges:
            if one.media_type != ANYTHING and one.takes(media_type, transfer_syntax):
                return not one.multipart
        return False

    def best(self, media_types: Sequence[str]) -> str | None:
        """The first of these types, in the order of the client's preference, then of ours; None when it takes none."""
        for one in self.ranges:
            for media_type in media_types:
                if not one.multipart and one.takes(media_type):
                    return media_type
        return None


def accepted(header: str | None) -> Accepted:
    """Reads an Accept header; none, and one that is none, takes anything."""
    return _accepted((header or "")[:_LONGEST])


@lru_cache(_REMEMBERED)
def _accepted(header: str) -> Accepted:
    ranges = sorted(_ranges(header), key=lambda one: -one.quality)
    return Accepted(tuple(one for one in ranges if one.quality > 0) or (Range(ANYTHING, False, "", 1.0),))


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case and its parameters, as in Content-Type; quotes and escapes undone."""
    media_type, _, _ = value.partition(";")
    found = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in _PARAMETER.findall(value)
    }
    return media_type.strip().lower(), found


def _ranges(header: str) -> Iterator[Range]:
    for media_type, rest in _RANGE.findall(header):
        kind, found = media_type.lower(), parameters(rest)[1]
        multipart = kind == MULTIPART
        yield Range(
            media_type=found.get("type", ANYTHING).lower() if multipart else kind,
            multipart=multipart,
            transfer_syntax=found.get("transfer-syntax", ""),
            quality=_quality(found.get("q", "1")),
        )


def _quality(value: str) -> float:
    return float(value) if re.fullmatch(r"[01](\.\d{0,3})?", value) else 1.0
