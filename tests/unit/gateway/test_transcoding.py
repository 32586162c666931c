"""What is encoded anew comes back as it was, or is not encoded."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import _read_file_meta_info, read_dataset
from pydicom.filewriter import write_dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from pacs_gateway.query.identifier import encoding
from pacs_gateway.sending.proposing import TARGETS
from pacs_gateway.sending.transcoding import CannotEncode, transcoded

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
COMPRESSED = sorted(TARGETS.values())


def stored(name: str) -> tuple[bytes, str]:
    """A data set of pydicom's files and its transfer syntax."""
    stream = BytesIO(Path(str(get_testdata_file(f"{name}.dcm"))).read_bytes())
    stream.seek(132)
    meta = _read_file_meta_info(stream)
    return stream.read(), str(meta.TransferSyntaxUID)


def read(data: bytes, transfer_syntax: str) -> Dataset:
    dataset = read_dataset(BytesIO(data), *encoding(transfer_syntax))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    return dataset


def picture(pixels: np.ndarray[Any, Any], **attributes: Any) -> bytes:
    """A data set in explicit VR with these pixels."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "张^三"
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if pixels.shape[-1] == 3 else pixels.shape[-2:]
    dataset.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.shape[-1] == 3 else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.add_new(0x7FE00010, "OB" if pixels.itemsize == 1 else "OW", pixels.tobytes())
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, dataset)
    return stream.getvalue()


def noise(*shape: int, dtype: str) -> np.ndarray[Any, Any]:
    limits = np.iinfo(dtype)
    return np.random.default_rng(7).integers(limits.min, limits.max, shape, dtype, endpoint=True)


PICTURES: dict[str, bytes] = {
    "8 bit": picture(noise(64, 48, dtype="uint8")),
    "16 bit": picture(noise(64, 48, dtype="uint16")),
    "16 bit signed": picture(noise(64, 48, dtype="int16")),
    "12 of 16 bit": picture(noise(64, 48, dtype="uint16") >> 4, BitsStored=12, HighBit=11),
    "RGB": picture(noise(64, 48, 3, dtype="uint8"), PlanarConfiguration=0),
    "RGB by planes": picture(noise(64, 48, 3, dtype="uint8"), PlanarConfiguration=1),
    "frames": picture(noise(4, 64, 48, dtype="uint16"), NumberOfFrames=4),
    "colour frames": picture(noise(3, 64, 48, 3, dtype="uint8"), NumberOfFrames=3, PlanarConfiguration=0),
    "MONOCHROME1": picture(noise(64, 48, dtype="uint8"), PhotometricInterpretation="MONOCHROME1"),
}


@pytest.mark.parametrize("target", COMPRESSED)
@pytest.mark.parametrize("name", PICTURES)
def test_every_pixel_and_every_other_value_comes_back(name: str, target: str) -> None:
    before = read(PICTURES[name], EXPLICIT)
    after = read(transcoded(PICTURES[name], EXPLICIT, target), target)
    assert np.array_equal(pixel_array(before, raw=True), pixel_array(after, raw=True))
    assert after.SOPInstanceUID == before.SOPInstanceUID
    assert after.PatientName == before.PatientName
    assert "LossyImageCompression" not in after


@pytest.mark.parametrize("target", COMPRESSED)
@pytest.mark.parametrize("name", ["CT_small", "MR_small_implicit", "693_UNCR", "ExplVR_LitEndNoMeta", "image_dfl"])
def test_real_pictures_come_back(name: str, target: str) -> None:
    if name == "ExplVR_LitEndNoMeta":
        data, syntax = stored("MR_small")
    else:
        data, syntax = stored(name)
    after = read(transcoded(data, syntax, target), target)
    plain = transcoded(data, syntax, EXPLICIT) if syntax != EXPLICIT else data
    assert np.array_equal(pixel_array(read(plain, EXPLICIT), raw=True), pixel_array(after, raw=True))


def test_text_that_its_character_set_does_not_fit_keeps_its_bytes() -> None:
    name = "张三".encode("gb18030")
    data = PICTURES["8 bit"].replace("张^三".encode(), name.ljust(7, b" "))
    assert name in transcoded(data, EXPLICIT, COMPRESSED[0])


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", ["JPEG2000", "emri_small_jpeg_ls_lossless", "MR_small_RLE", "JPEG-LL"])
def test_a_receiver_without_decoders_gets_the_decoded_pixels(name: str, target: str) -> None:
    data, syntax = stored(name)
    after = read(transcoded(data, syntax, target), target)
    assert np.array_equal(pixel_array(read(data, syntax)), pixel_array(after))


def test_big_endian_becomes_little_endian() -> None:
    (data, syntax), (twin, twins_syntax) = stored("MR_small_bigendian"), stored("MR_small")
    assert syntax == BIG_ENDIAN
    after = read(transcoded(data, syntax, EXPLICIT), EXPLICIT)
    assert np.array_equal(pixel_array(after), pixel_array(read(twin, twins_syntax)))
    assert after.PatientName == read(twin, twins_syntax).PatientName


@pytest.mark.parametrize("target", [IMPLICIT, EXPLICIT])
def test_a_report_that_came_under_a_compressed_context_holds_nothing_to_decode(target: str) -> None:
    report, syntax = stored("reportsi")
    assert syntax == EXPLICIT
    after = transcoded(report, JPEG_2000, target)
    assert (after == report) is (target == EXPLICIT)
    assert read(after, target).ConceptNameCodeSequence == read(report, EXPLICIT).ConceptNameCodeSequence


def refused() -> Iterator[tuple[str, bytes, str, str]]:
    eight, (report, report_syntax) = PICTURES["8 bit"], stored("reportsi")
    yield "no picture", report, report_syntax, COMPRESSED[0]
    yield "pixels that are not all there", eight[:-100], EXPLICIT, COMPRESSED[0]
    yield "no data set", b"\xff" * 500, EXPLICIT, COMPRESSED[0]
    yield "nothing", b"", EXPLICIT, COMPRESSED[0]
    yield "no deflated data set", b"\xff" * 500, DEFLATED, EXPLICIT
    yield "nothing that is compressed", b"", JPEG_2000, EXPLICIT
    for cut in (100, 500, 1001):
        yield f"a picture without its last {cut} bytes", stored("JPEG2000")[0][:-cut], JPEG_2000, EXPLICIT
    yield "a report that breaks off", report[:-1], JPEG_2000, EXPLICIT
    huge = read(eight, EXPLICIT)
    huge.NumberOfFrames = 2**30
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_dataset(stream, huge)
    yield "a picture that says it is enormous", stream.getvalue(), EXPLICIT, COMPRESSED[0]
    high_bits = picture(noise(64, 48, dtype="uint16") | 0x8000, BitsStored=12, HighBit=11)
    yield "something in the bits beside the pixels", high_bits, EXPLICIT, COMPRESSED[0]


@pytest.mark.parametrize(("data", "syntax", "target"), [case[1:] for case in refused()], ids=[c[0] for c in refused()])
def test_what_cannot_be_encoded_says_so(data: bytes, syntax: str, target: str) -> None:
    with pytest.raises(CannotEncode):
        transcoded(data, syntax, target)
