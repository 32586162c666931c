"""Every two-byte character of GB 18030 whose second byte is printable ASCII, with its bytes."""

from __future__ import annotations

DELIMITERS = b"|^~\\&"
"""The usual separators; `&` (0x26) lies below the second bytes, `|` `^` `~` `\\` among them."""

_FIRST_BYTES = range(0x81, 0xFF)
_ASCII_SECOND_BYTES = range(0x40, 0x7F)


def two_byte_characters(second: int) -> list[tuple[bytes, str]]:
    """All assigned two-byte characters that end with this byte."""
    found = []
    for first in _FIRST_BYTES:
        pair = bytes((first, second))
        try:
            found.append((pair, pair.decode("gb18030")))
        except UnicodeDecodeError:
            continue
    return found


TABLE = {second: two_byte_characters(second) for second in _ASCII_SECOND_BYTES}
"""Second byte → the characters that end with it."""

SEPARATORS_AMONG_SECOND_BYTES = [s for s in _ASCII_SECOND_BYTES if not chr(s).isalnum()]
"""@ [ \\ ] ^ _ ` { | } ~: what an odd MSH-2 may choose."""
