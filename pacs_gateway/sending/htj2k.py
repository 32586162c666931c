"""How is one frame encoded as High-Throughput JPEG 2000, without loss? By OpenJPH, with as many bits as are stored."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np

TRANSFER_SYNTAX = "1.2.840.10008.1.2.4.201"

_DEPTHS_AT = 42
"""Where the depth of the first component, Ssiz, stands in a codestream: in SIZ, which follows SOC."""
_DEPTH_STEP = 3
"""From there to that of the next."""
_SIGNED = 0x80


def encoded(frame: np.ndarray[Any, Any], bits_stored: int) -> bytes:
    """The codestream of a frame of rows, columns and, where there are several, colours; integers of 8 or 16 bits.

    OpenJPH is told of whole bytes only, but a codestream has to say what Bits Stored says. Samples with a sign are
    encoded as they are, those without one less the half of their range, as the codec itself would take it off; then the
    depth is put in. A decoder that reads it puts the half on again.
    """
    signed = frame.dtype.kind == "i"
    samples = frame
    if not signed and bits_stored < 8 * frame.itemsize:
        half = frame.dtype.type(1 << (bits_stored - 1))
        samples = (frame - half).view(np.dtype(f"i{frame.itemsize}"))
    codestream = bytearray(imagecodecs.htj2k_encode(np.ascontiguousarray(samples), reversible=True, rgb=False))
    for component in range(frame.shape[2] if frame.ndim == 3 else 1):
        codestream[_DEPTHS_AT + _DEPTH_STEP * component] = (_SIGNED if signed else 0) | (bits_stored - 1)
    return bytes(codestream)
