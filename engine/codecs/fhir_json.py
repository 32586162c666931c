"""How are FHIR resources written and read as JSON? Decimals keep their digits: 5.10 stays 5.10, never a float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def dumps(resource: Any) -> bytes:
    """A resource, or a list of them, as compact UTF-8 JSON."""
    return _ENCODER.encode(resource)


def loads(text: bytes | str) -> Any:
    """JSON as plain values; a number with a point or an exponent becomes a Decimal.

    Raises msgspec.DecodeError, which names a position and no content.
    """
    return _DECODER.decode(text)
