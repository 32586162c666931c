"""What decodes JPEG Extended with 12 bits? libjpeg-turbo, by imagecodecs; what pydicom comes with takes 8 bits only.

A plug-in as pydicom asks for them, for processes that decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
from pydicom.pixels.decoders.base import JPEGExtended12BitDecoder
from pydicom.uid import JPEGExtended12Bit

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

_LABEL = "imagecodecs"
_END_OF_IMAGE = b"\xff\xd9"
_END_BYTES = 4
"""Somebody pads a frame with a byte that is not 0."""
DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("imagecodecs",)}


def install() -> None:
    """From here on pydicom decodes it, in this process."""
    if _LABEL not in JPEGExtended12BitDecoder.available_plugins:
        JPEGExtended12BitDecoder.add_plugin(_LABEL, (__name__, decoded.__name__))


def is_available(uid: str) -> bool:
    """Asked by pydicom."""
    return uid == JPEGExtended12Bit


def decoded(frame: bytes, runner: DecodeRunner) -> bytes:
    """The samples of a frame. Raises ValueError where it is not whole, or not what its data set says.

    The library fills what is missing of a frame that breaks off, and says nothing.
    """
    if _END_OF_IMAGE not in frame.rstrip(b"\0")[-_END_BYTES:]:
        raise ValueError("a frame breaks off")
    samples = imagecodecs.jpeg8_decode(frame)
    if samples.shape[:2] != (runner.rows, runner.columns):
        raise ValueError("a frame has other rows and columns than its data set says")
    if samples.dtype.itemsize != runner.bits_allocated // 8:
        raise ValueError("a frame has samples of another size than its data set says")
    pixels: bytes = samples.tobytes()
    return pixels
