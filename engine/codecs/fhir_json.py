"""How are FHIR resources written and read as JSON? Decimals keep their digits: 5.10 stays 5.10, never a float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SORTING_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def dumps(resource: Any) -> bytes:
    """A resource, or a list of them, as compact UTF-8 JSON."""
    return _ENCODER.encode(resource)


def append(resource: Any, to: bytearray) -> None:
    """Writes a resource, as `dumps` does, behind what is there."""
    _ENCODER.encode_into(resource, to, -1)


def same(left: Any, right: Any) -> bool:
    """True when two resources say the same to the digit: 5.1 and 5.10 are equal numbers, but not the same result."""
    return bool(left == right) and _SORTING_ENCODER.encode(left) == _SORTING_ENCODER.encode(right)


def loads(text: bytes | str) -> Any:
    """JSON as plain values; a number with a point or an exponent becomes a Decimal.

    Raises msgspec.DecodeError, which names a position and no content.
    """
    return _DECODER.decode(text)
