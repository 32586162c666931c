"""A data set is whole, or it is refused; what devices do to it otherwise is taken as it is."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from itertools import pairwise

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from engine.errors import ParseError
from pacs_gateway import elements
from pacs_gateway.elements import top_level, walk_of

SOP_UID, STUDY_UID, PATIENT_NAME = 0x00080018, 0x0020000D, 0x00100010
WANTED = frozenset({SOP_UID, STUDY_UID, PATIENT_NAME})
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def object_with_sequences() -> Dataset:
    inner = Dataset()
    inner.CodeValue = "1234"
    inner.is_undefined_length_sequence_item = True
    outer = Dataset()
    outer.PurposeOfReferenceCodeSequence = Sequence([inner, inner])
    outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2.3"
    dataset.SourceImageSequence = Sequence([outer, outer])
    dataset["SourceImageSequence"].is_undefined_length = True
    dataset.PatientName = "Test^One"
    dataset.StudyInstanceUID = "1.2"
    dataset.Rows = 2
    dataset.BitsAllocated = 16
    dataset.PixelRepresentation = 0
    dataset.add_new(0x7FE00010, "OW", bytes(range(64)))
    return dataset


def encoded(dataset: Dataset, syntax: str) -> bytes:
    buffer = BytesIO()
    pydicom.dcmwrite(
        buffer,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
    )
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_wanted_values_are_found_behind_sequences_of_undefined_length(syntax: str) -> None:
    found = top_level(encoded(object_with_sequences(), syntax), syntax, WANTED)
    assert found == {SOP_UID: b"1.2.3\0", PATIENT_NAME: b"Test^One", STUDY_UID: b"1.2\0"}


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_data_set_cut_at_any_byte_within_an_element_is_truncated(syntax: str) -> None:
    data = encoded(object_with_sequences(), syntax)
    starts = _top_level_starts(object_with_sequences(), syntax)
    for end in range(1, len(data)):
        rest = data[max((start for start in starts if start <= end), default=0) : end]
        if not any(rest):
            continue  # cut between two elements: what is missing cannot be seen from the bytes
        with pytest.raises(ParseError) as raised:
            top_level(data[:end], syntax, WANTED)
        assert raised.value.code == "dicom-truncated", end


def _top_level_starts(dataset: Dataset, syntax: str) -> set[int]:
    starts, part = set(), Dataset()
    for element in dataset:
        part.add(element)
        starts.add(len(encoded(part, syntax)))
    return starts


def test_an_empty_data_set_is_none() -> None:
    with pytest.raises(ParseError) as raised:
        top_level(b"", ExplicitVRLittleEndian, WANTED)
    assert raised.value.code == "dicom-unparsable"


@pytest.mark.parametrize(
    "data",
    [b"not a data set at all, just some text", b"%PDF-1.7\n" + bytes(range(256)), bytes(range(255, 0, -1))],
    ids=["text", "pdf", "binary"],
)
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_what_is_no_data_set_is_refused(data: bytes, syntax: str) -> None:
    with pytest.raises(ParseError):
        top_level(data, syntax, WANTED)


def test_zeros_that_a_device_appended_are_taken() -> None:
    data = encoded(object_with_sequences(), ExplicitVRLittleEndian)
    assert top_level(data + bytes(513), ExplicitVRLittleEndian, WANTED)[SOP_UID] == b"1.2.3\0"


def test_odd_lengths_are_taken() -> None:
    data = _explicit(0x0008, 0x0018, b"UI", b"1.2.3") + _explicit(0x0010, 0x0010, b"PN", b"A")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {SOP_UID: b"1.2.3", PATIENT_NAME: b"A"}


def test_elements_out_of_order_are_taken() -> None:
    data = _explicit(0x0020, 0x000D, b"UI", b"1.2\0") + _explicit(0x0008, 0x0018, b"UI", b"1.2.3\0")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {STUDY_UID: b"1.2\0", SOP_UID: b"1.2.3\0"}


def test_of_a_repeated_element_the_first_counts() -> None:
    data = _explicit(0x0010, 0x0010, b"PN", b"AA") + _explicit(0x0010, 0x0010, b"PN", b"BB")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {PATIENT_NAME: b"AA"}


def test_a_vr_of_the_future_has_a_long_length() -> None:
    future = struct.pack("<HH2sHI", 0x0009, 0x1001, b"XY", 0, 2) + b"ab"
    data = future + _explicit(0x0010, 0x0010, b"PN", b"AA")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {PATIENT_NAME: b"AA"}


def test_implicit_elements_within_an_explicit_data_set_are_taken() -> None:
    slipped = struct.pack("<HHI", 0x0009, 0x1001, 2) + b"ab"
    data = slipped + _explicit(0x0010, 0x0010, b"PN", b"AA")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {PATIENT_NAME: b"AA"}


def test_a_un_of_undefined_length_holds_implicit_items() -> None:
    item = struct.pack("<HHI", 0x0008, 0x0100, 2) + b"ab"
    un = (
        struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        + item
        + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    data = un + _explicit(0x0010, 0x0010, b"PN", b"AA")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {PATIENT_NAME: b"AA"}


def test_encapsulated_pixels_are_walked_by_their_fragments() -> None:
    pixels = (
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
        + struct.pack("<HHI", 0xFFFE, 0xE000, 4)
        + b"\xff\x4f\xff\x51"
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    data = _explicit(0x0008, 0x0018, b"UI", b"1.2.3\0") + pixels
    assert top_level(data, JPEG2000Lossless, WANTED) == {SOP_UID: b"1.2.3\0"}
    with pytest.raises(ParseError):
        top_level(data[:-8], JPEG2000Lossless, WANTED)


def test_nesting_without_end_is_refused_and_does_not_exhaust_the_stack() -> None:
    level = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(ParseError) as raised:
        top_level(level * 100_000, ExplicitVRLittleEndian, WANTED)
    assert raised.value.code == "dicom-unparsable"


def test_a_deflated_data_set_is_inflated_to_be_read() -> None:
    data = _deflated(encoded(object_with_sequences(), ExplicitVRLittleEndian))
    assert top_level(data, DeflatedExplicitVRLittleEndian, WANTED)[STUDY_UID] == b"1.2\0"
    with pytest.raises(ParseError) as raised:
        top_level(data[:-10], DeflatedExplicitVRLittleEndian, WANTED)
    assert raised.value.code == "dicom-truncated"


def test_a_deflated_data_set_may_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "INFLATED_LIMIT_BYTES", 1000)
    with pytest.raises(ParseError) as raised:
        top_level(_deflated(bytes(1_000_000)), DeflatedExplicitVRLittleEndian, WANTED)
    assert raised.value.code == "dicom-unparsable"


def _explicit(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, DeflatedExplicitVRLittleEndian])
@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 600), max_size=12), kept=st.integers(1, 600), padding=st.integers(0, 20))
def test_a_data_set_is_walked_alike_however_it_is_cut_into_pieces(
    syntax: str, cuts: list[int], kept: int, padding: int
) -> None:
    data = encoded(object_with_sequences(), syntax) + bytes(padding)
    if syntax == DeflatedExplicitVRLittleEndian:
        data = _deflated(encoded(object_with_sequences(), ExplicitVRLittleEndian))
    data = data[:kept]
    assert _walked(data, syntax, sorted(cuts)) == _walked(data, syntax, [])


def test_a_data_set_that_comes_byte_by_byte_is_walked() -> None:
    data = encoded(object_with_sequences(), ExplicitVRLittleEndian) + bytes(9)
    assert _walked(data, ExplicitVRLittleEndian, list(range(len(data)))) == _walked(data, ExplicitVRLittleEndian, [])


def test_an_item_whose_length_looks_like_a_vr_is_an_item() -> None:
    length = int.from_bytes(b"AE", "little")
    sequence = (
        struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
        + struct.pack("<HHI", 0xFFFE, 0xE000, length)
        + bytes(length)
        + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    )
    data = sequence + _explicit(0x0010, 0x0010, b"PN", b"AA")
    assert top_level(data, ExplicitVRLittleEndian, WANTED) == {PATIENT_NAME: b"AA"}


def test_of_an_enormous_value_only_the_beginning_is_held() -> None:
    value = struct.pack("<HH2sHI", 0x0010, 0x0010, b"UN", 0, 1_000_000) + b"A" * 1_000_000
    found = top_level(value, ExplicitVRLittleEndian, WANTED)
    assert found == {PATIENT_NAME: b"A" * elements.VALUE_LIMIT_BYTES}


def _walked(data: bytes, syntax: str, cuts: list[int]) -> dict[int, bytes] | str:
    walk = walk_of(syntax, WANTED)
    edges = [0, *(min(cut, len(data)) for cut in cuts), len(data)]
    try:
        for start, stop in pairwise(edges):
            walk.feed(memoryview(data)[start:stop])
        return walk.end()
    except ParseError as error:
        return error.code
