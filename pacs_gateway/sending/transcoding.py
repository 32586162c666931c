"""How is an object written anew in another encoding, and nothing of it lost? Blocking, for a process of its own.

What is encoded is decoded again and compared, pixel by pixel, and so is every other value.
"""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import config as pydicom_config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.pixels.utils import pixel_array
from pydicom.tag import BaseTag
from pydicom.uid import UID

from pacs_gateway import jpeg_extended
from pacs_gateway.query.identifier import UNREADABLE, encoding
from pacs_gateway.sending import htj2k
from pacs_gateway.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
)

LARGEST_BYTES = 512 * 1024 * 1024
"""Of pixels: they are held thrice."""

_PLUGINS = {
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    htj2k.TRANSFER_SYNTAX: "pylibjpeg",
    "1.2.840.10008.1.2.5": "pylibjpeg",
}
"""What encodes and decodes each target, and only decodes HTJ2K; GDCM ends the process over some pictures."""
_PIXEL_DATA = 0x7FE00010
_DESCRIBING_PIXELS = 0x0028

jpeg_extended.install()


class CannotEncode(Exception):
    """Why an object cannot be had in an encoding; names no values. Empty for an object without a picture."""


def transcoded(data: bytes, stored: str, target: str) -> bytes:
    """The data set in another transfer syntax. Raises CannotEncode."""
    try:
        return _transcoded(data, stored, target)
    except CannotEncode:
        raise
    except (*UNREADABLE, RuntimeError, MemoryError) as error:
        raise CannotEncode(f"{type(error).__name__} while it was encoded") from error


def _transcoded(data: bytes, stored: str, target: str) -> bytes:
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    pydicom_config.settings.writing_validation_mode = pydicom_config.IGNORE
    if stored == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        data, stored = _inflated(data), EXPLICIT_VR_LITTLE_ENDIAN
    original = _read(data, stored)
    if stored not in UNCOMPRESSED and not _is_picture(original):
        stored = EXPLICIT_VR_LITTLE_ENDIAN  # as everything but the pixels is written
        _check_is_whole(original, data)
    if stored == target:
        return data
    made = _read(data, stored)
    if target not in UNCOMPRESSED:
        _compress(made, target)
    elif stored not in UNCOMPRESSED:
        _check_size(made)
        made.decompress(generate_instance_uid=False)
    elif stored == EXPLICIT_VR_BIG_ENDIAN:
        _turn_round(made)
    written = _write(made, target)
    _compare_values(original, _read(written, target), stored, target)
    return written


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data, LARGEST_BYTES)
    if inflater.unconsumed_tail:
        raise CannotEncode("it is too large to be inflated here")
    return inflated


def _read(data: bytes, transfer_syntax: str) -> Dataset:
    dataset = read_dataset(BytesIO(data), *encoding(transfer_syntax))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    return dataset


def _write(dataset: Dataset, transfer_syntax: str) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = encoding(transfer_syntax)
    write_dataset(stream, dataset)
    return stream.getvalue()


def _compress(dataset: Dataset, target: str) -> None:
    """Pixels only, and compared; the SOP Instance UID stays, because nothing is lost."""
    if _PIXEL_DATA not in dataset:
        raise CannotEncode("")
    _check_size(dataset)
    before = pixel_array(dataset, raw=True)
    _check_is_all(before, dataset)
    if dataset.SamplesPerPixel > 1:
        dataset.PlanarConfiguration = 0  # encoders take colours by pixel, and so does what they make
        dataset.PixelData = before.tobytes()
    plugin = _PLUGINS[target]
    if target == htj2k.TRANSFER_SYNTAX:
        _compress_with_htj2k(dataset, before)
    else:
        dataset.compress(target, generate_instance_uid=False, encoding_plugin=plugin)
    if not np.array_equal(before, pixel_array(dataset, raw=True, decoding_plugin=plugin)):
        raise CannotEncode("its pixels do not come back as they were")


def _compress_with_htj2k(dataset: Dataset, pixels: np.ndarray[Any, Any]) -> None:
    """What pydicom does for the encodings that it knows."""
    if pixels.itemsize > 2:
        raise CannotEncode("HTJ2K is decoded with at most 16 bits by its readers")
    frames = pixels if int(dataset.get("NumberOfFrames") or 1) > 1 else pixels[np.newaxis]
    dataset.PixelData = encapsulate([htj2k.encoded(frame, dataset.BitsStored) for frame in frames])
    dataset[_PIXEL_DATA].is_undefined_length = True
    dataset[_PIXEL_DATA].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = UID(htj2k.TRANSFER_SYNTAX)


def _is_picture(dataset: Dataset) -> bool:
    """Also where what it says to hold cannot be found."""
    return _PIXEL_DATA in dataset or "Rows" in dataset


def _check_is_whole(dataset: Dataset, data: bytes) -> None:
    """A picture that breaks off before its pixels must not pass for an object without."""
    if not dataset or _write(dataset, EXPLICIT_VR_LITTLE_ENDIAN) != data:
        raise CannotEncode("it breaks off")


def _check_is_all(pixels: np.ndarray[Any, Any], dataset: Dataset) -> None:
    """Old overlays lie in bits beside the pixels, which no encoder keeps."""
    by_planes = dataset.SamplesPerPixel > 1 and dataset.PlanarConfiguration == 1
    ordered = np.moveaxis(pixels, -1, -3) if by_planes else pixels
    if ordered.tobytes() != dataset.PixelData[: ordered.nbytes]:
        raise CannotEncode("it holds something beside its pixels")


def _check_size(dataset: Dataset) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    pixels = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * frames
    if pixels * dataset.BitsAllocated // 8 > LARGEST_BYTES:
        raise CannotEncode("its pixels are too many to be encoded here")


def _turn_round(dataset: Dataset) -> None:
    """Words of big endian as little endian ones: the writer turns numbers, and leaves OW as it finds it."""
    for element in dataset.iterall():
        if element.VR == "OW" and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()
        elif element.VR in ("OD", "OF", "OL", "OV") or (element.VR == "UN" and element.value):
            raise CannotEncode("it holds values in big endian that cannot be told apart")


def _compare_values(original: Dataset, made: Dataset, stored: str, target: str) -> None:
    """Every value of the data set but those of its pixels; implicit VR forgets of which kind private ones are."""
    for tag in original.keys() | made.keys():
        if tag.group in (_DESCRIBING_PIXELS, 0x7FE0) or tag.element == 0:
            continue
        if tag.is_private and target == IMPLICIT_VR_LITTLE_ENDIAN and tag in made:
            continue
        turned = stored == EXPLICIT_VR_BIG_ENDIAN
        if tag not in original or tag not in made or not _same(original, made, tag, turned=turned):
            raise CannotEncode(f"({tag.group:04X},{tag.element:04X}) does not come back as it was")


def _same(original: Dataset, made: Dataset, tag: BaseTag, *, turned: bool) -> bool:
    """By the bytes, wherever they must be the same; text that no character set fits has only those."""
    one, other = original.get_item(tag), made.get_item(tag)
    if isinstance(one, RawDataElement) and isinstance(other, RawDataElement) and not turned:
        if one.value == other.value:
            return True
        if other.VR not in ("SQ", None) and not one.is_undefined_length:
            return False
    return bool(original[tag].value == made[tag].value)
