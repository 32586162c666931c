"""What does one frame of an image look like? Stored values through modality and VOI transformation to 8 bits."""

from __future__ import annotations

import io
import struct
from typing import Any, BinaryIO, cast

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

from engine.errors import ParseError
from pacs_gateway import jpeg_extended
from pacs_gateway.rendering.choices import JPEG, Asked, Window

PIXELS_LIMIT = 64 * 1024 * 1024
"""Of one frame; the largest mammography detectors have half of it."""
_PNG_EFFORT = 1
"""A radiograph is compressed in 0.2 s; the highest effort takes ten times as long to save a tenth."""

_UNDECODABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
    ArithmeticError,
    OSError,
    struct.error,
)

Pixels = NDArray[Any]

jpeg_extended.install()


def png(file: BinaryIO, frame: int = 0, window: Window | None = None) -> bytes:
    """One frame, counted from 0, as an 8-bit PNG. Raises as `drawn`."""
    return encoded(file, Asked(frame, window))


def encoded(file: BinaryIO, asked: Asked) -> bytes:
    """One frame in the encoding and size that is asked for. Raises as `drawn`."""
    picture = drawn(file, asked.frame, asked.window)
    if asked.viewport is not None:
        picture.thumbnail((asked.viewport.width, asked.viewport.height), Image.Resampling.BILINEAR)
    written = io.BytesIO()
    if asked.media_type == JPEG:
        picture.save(written, "JPEG", quality=asked.quality)
    else:
        picture.save(written, "PNG", compress_level=_PNG_EFFORT)
    return written.getvalue()


def drawn(file: BinaryIO, frame: int = 0, window: Window | None = None) -> Image.Image:
    """One frame, counted from 0, in 8 bits, grey or RGB, with square pixels.

    Raises ParseError `not-renderable` when the object has no such frame or no codec here decodes it.
    """
    try:
        file.seek(0)
        header = pydicom.dcmread(file, stop_before_pixels=True)
        _refuse_unreasonable(header, frame)
        shown = _shown(header, _decoded(file, header, frame), frame, window)
        return _with_square_pixels(Image.fromarray(shown), header, frame)
    except _UNDECODABLE as e:
        raise ParseError("the pixels cannot be decoded", code="not-renderable") from e


def octets(file: BinaryIO, frame: int) -> bytes:
    """The stored values of one frame, counted from 0, in little endian; colours by pixel, as RGB.

    Raises as `drawn`.
    """
    try:
        file.seek(0)
        header = pydicom.dcmread(file, stop_before_pixels=True)
        _refuse_unreasonable(header, frame)
        pixels = _decoded(file, header, frame)
        return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    except _UNDECODABLE as e:
        raise ParseError("the pixels cannot be decoded", code="not-renderable") from e


def _refuse_unreasonable(header: Dataset, frame: int) -> None:
    rows, columns = header.get("Rows"), header.get("Columns")
    if not isinstance(rows, int) or not isinstance(columns, int) or not 0 < rows * columns <= PIXELS_LIMIT:
        raise ParseError("the object has no pixels that can be shown", code="not-renderable")
    try:
        frames = int(header.get("NumberOfFrames") or 1)
    except (ValueError, TypeError):
        frames = 1
    if not 0 <= frame < frames:
        raise ParseError("the object has no such frame", code="not-renderable")


def _decoded(file: BinaryIO, header: Dataset, frame: int) -> Pixels:
    """Of many frames only one is read, unless the data set is deflated and has to be read whole."""
    file.seek(0)
    if header.get("NumberOfFrames", 1) == 1 or header.file_meta.TransferSyntaxUID.is_deflated:
        return pixel_array(pydicom.dcmread(file), index=frame)
    return pixel_array(file, index=frame)


def _shown(header: Dataset, pixels: Pixels, frame: int, window: Window | None) -> NDArray[np.uint8]:
    photometric = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    if photometric == "PALETTE COLOR":
        coloured = apply_color_lut(pixels, header)
        return _scaled(coloured, 8 * coloured.itemsize)
    if pixels.ndim == 3:
        return _scaled(pixels, int(header.BitsStored))
    grey = _grey(header, pixels, frame, window)
    return 255 - grey if photometric == "MONOCHROME1" else grey


def _grey(header: Dataset, pixels: Pixels, frame: int, window: Window | None) -> NDArray[np.uint8]:
    transform = _macro(header, frame, "PixelValueTransformationSequence")
    values = apply_modality_lut(pixels, transform)
    voi = _macro(header, frame, "FrameVOILUTSequence")
    if window is None and voi.get("VOILUTSequence"):
        return _looked_up(values, voi.VOILUTSequence[0], header)
    return _windowed(values, window or _window_of(voi) or _full_range(header, pixels, values))


def _windowed(values: Pixels, window: Window) -> NDArray[np.uint8]:
    """The functions of PS3.3 C.11.2.1.2, with 0 to 255 as their output."""
    x = values.astype(np.float32)
    if window.function == "SIGMOID":
        y = 1.0 / (1.0 + np.exp(-4.0 * (x - window.centre) / window.width))
    elif window.function == "LINEAR_EXACT":
        y = (x - window.centre) / window.width + 0.5
    else:
        y = (x - (window.centre - 0.5)) / max(window.width - 1.0, 1e-6) + 0.5
    return cast("NDArray[np.uint8]", (np.clip(y, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def _looked_up(values: Pixels, table: Dataset, header: Dataset) -> NDArray[np.uint8]:
    """A VOI table. Entries of 8 bits may be packed two to a word, which pydicom does not take."""
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    entries = entries or 65_536
    if isinstance(table.LUTData, bytes):
        packed = len(table.LUTData) < 2 * entries
        order = "<" if header.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(table.LUTData, np.uint8 if packed else np.dtype(f"{order}u2"))
    else:
        data = np.asarray(table.LUTData, dtype=np.uint16)
    signed_first = first - 65_536 if first > 32_767 and values.min() < 0 else first
    index = np.clip(values.astype(np.int64) - signed_first, 0, min(entries, len(data)) - 1)
    return _scaled(data[index], bits)


def _window_of(voi: Dataset) -> Window | None:
    """The first window; others are alternatives for a person to choose from."""
    centre, width = _first(voi.get("WindowCenter")), _first(voi.get("WindowWidth"))
    if centre is None or width is None or float(width) <= 0:
        return None
    return Window(float(centre), float(width), str(voi.get("VOILUTFunction") or "LINEAR"))


def _full_range(header: Dataset, pixels: Pixels, values: Pixels) -> Window:
    """Everything the image holds; what pads it out is not part of the image."""
    padding = header.get("PixelPaddingValue")
    inside = values[pixels != padding] if padding is not None and np.any(pixels != padding) else values
    low, high = float(inside.min()), float(inside.max())
    return Window((low + high) / 2, max(high - low, 1.0), "LINEAR_EXACT")


def _scaled(pixels: Pixels, bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return cast("NDArray[np.uint8]", pixels.astype(np.uint8))
    highest = float(2**bits - 1)
    return cast("NDArray[np.uint8]", (np.clip(pixels / highest, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def _macro(header: Dataset, frame: int, name: str) -> Dataset:
    """Where a frame's transformation stands: its functional group, the shared one, or the object itself."""
    for sequence, item in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        groups = header.get(sequence) or []
        if item < len(groups) and groups[item].get(name):
            return cast("Dataset", groups[item][name].value[0])
    return header


def _with_square_pixels(picture: Image.Image, header: Dataset, frame: int) -> Image.Image:
    """Pixels that are taller than wide, as in some ultrasound, would show a round thing oval."""
    spacing = _macro(header, frame, "PixelMeasuresSequence").get("PixelSpacing") or header.get("PixelAspectRatio")
    if spacing is None or len(spacing) != 2:
        return picture
    vertical, horizontal = float(spacing[0]), float(spacing[1])
    if vertical <= 0 or horizontal <= 0 or 0.99 < vertical / horizontal < 1.01 or not 0.1 < vertical / horizontal < 10:
        return picture
    if vertical > horizontal:
        return picture.resize((picture.width, round(picture.height * vertical / horizontal)), Image.Resampling.BILINEAR)
    return picture.resize((round(picture.width * horizontal / vertical), picture.height), Image.Resampling.BILINEAR)


def _first(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    return value[0] if len(value) else None
