"""What is whole in a segment is found, and nothing else is taken for it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_gateway.segments.record import (
    NAME_AT,
    PAGE,
    Head,
    NoRecordError,
    generation_of,
    head_of,
    head_page,
    name,
    next_page,
    segment_page,
    sha256_of,
)

GENERATION, OTHER = bytes(range(16)), bytes(range(1, 17))
HEAD = Head(
    place=2 * PAGE,
    length=5000,
    xxh3=bytes(range(100, 116)),
    received_at=1_767_323_045_000_006,
    sop_class="1.2.840.10008.5.1.4.1.1.1",
    sop_uid="1.2.3",
    transfer_syntax="1.2.840.10008.1.2.1",
    facility="baishi",
    peer="DR_BAISHI@10.0.0.7:1234",
    file_head=b"\0" * 128 + b"DICM...",
)


@pytest.mark.parametrize("release", [1, 2, 3])
def test_a_head_is_these_bytes(release: int) -> None:
    """Earlier releases proved the data set by a CRC-32, then by its SHA-256: theirs are read, and not written."""
    texts = b"".join(
        struct.pack("<H", len(text)) + text
        for text in (
            b"1.2.840.10008.5.1.4.1.1.1",
            b"1.2.3",
            b"1.2.840.10008.1.2.1",
            b"baishi",
            b"DR_BAISHI@10.0.0.7:1234",
        )
    )
    golden = (
        b"HTOBJ\0\0"
        + bytes((release,))
        + GENERATION
        + (8192).to_bytes(8, "little")
        + (5000).to_bytes(8, "little")
        + (bytes.fromhex("04030201") if release == 1 else bytes(4))
        + (1_767_323_045_000_006).to_bytes(8, "little")
        + len(texts).to_bytes(2, "little")
        + len(HEAD.file_head).to_bytes(2, "little")
    )
    sha256 = bytes(range(200, 232))
    proof = {1: b"", 2: sha256, 3: HEAD.xxh3}[release]
    behind = (texts.ljust(2604 - 60, b"\0") + proof).ljust(PAGE - 60 - len(HEAD.file_head), b"\0") + HEAD.file_head
    page = golden + struct.pack("<I", zlib.crc32(golden + bytes(4) + behind)) + behind
    read = head_of(page, GENERATION, HEAD.place)
    if release == 1:
        assert read == replace(HEAD, xxh3=b"", crc=0x01020304)
    elif release == 2:
        assert read == replace(HEAD, xxh3=b"", sha256=sha256)
    else:
        assert head_page(HEAD, GENERATION) == page


def test_a_segment_begins_with_these_bytes() -> None:
    page = segment_page(GENERATION)
    assert page == (b"HTSEG\0\0\1" + GENERATION + struct.pack("<I", zlib.crc32(GENERATION))).ljust(PAGE, b"\0")
    assert generation_of(page) == GENERATION


def test_a_head_is_read_back() -> None:
    assert head_of(head_page(HEAD, GENERATION), GENERATION, HEAD.place) == HEAD


def test_a_file_is_one_stretch_that_ends_with_the_data_set() -> None:
    assert HEAD.file_at + len(HEAD.file_head) == HEAD.data_at == HEAD.place + PAGE
    assert HEAD.file_at + HEAD.file_length == HEAD.data_at + HEAD.length
    assert HEAD.after == 2 * PAGE + PAGE + 2 * PAGE
    assert [next_page(at) for at in (0, 1, PAGE, PAGE + 1)] == [0, PAGE, PAGE, 2 * PAGE]


@pytest.mark.parametrize("kept", range(0, PAGE, 7))
def test_a_head_torn_at_any_byte_is_none(kept: int) -> None:
    """The rest of its page is what stood there before: nothing, or another object's head."""
    page = head_page(HEAD, GENERATION)
    before = head_page(replace(HEAD, sop_uid="1.2.4", xxh3=bytes(16), file_head=b"\1" * 300), OTHER)
    for rest in (bytes(PAGE), before):
        torn = page[:kept] + rest[kept:]
        if torn == page:
            continue
        with pytest.raises(NoRecordError):
            head_of(torn, GENERATION, HEAD.place)


def test_a_head_of_an_earlier_generation_is_none() -> None:
    with pytest.raises(NoRecordError):
        head_of(head_page(HEAD, OTHER), GENERATION, HEAD.place)


def test_a_head_that_was_copied_elsewhere_is_none() -> None:
    with pytest.raises(NoRecordError):
        head_of(head_page(HEAD, GENERATION), GENERATION, HEAD.place + PAGE)


@given(st.integers(0, PAGE - 1), st.integers(1, 255))
def test_a_head_with_any_byte_changed_is_none_or_only_loses_its_name(at: int, change: int) -> None:
    page = bytearray(head_page(HEAD, GENERATION))
    page[at] ^= change
    if NAME_AT <= at < NAME_AT + 44:
        assert head_of(bytes(page), GENERATION, HEAD.place) == HEAD
    else:
        with pytest.raises(NoRecordError):
            head_of(bytes(page), GENERATION, HEAD.place)


def test_a_name_changes_nothing_of_the_head() -> None:
    page = bytearray(head_page(HEAD, GENERATION))
    with pytest.raises(NoRecordError):
        sha256_of(bytes(page), GENERATION, HEAD.place)
    sha256 = bytes(range(32))
    written = name(GENERATION, HEAD.place, sha256)
    page[NAME_AT : NAME_AT + len(written)] = written
    assert head_of(bytes(page), GENERATION, HEAD.place) == HEAD
    assert sha256_of(bytes(page), GENERATION, HEAD.place) == sha256
    for generation, place in ((OTHER, HEAD.place), (GENERATION, HEAD.place + PAGE)):
        with pytest.raises(NoRecordError):
            sha256_of(bytes(page), generation, place)


@pytest.mark.parametrize("length", range(40))
def test_a_segment_whose_first_page_is_cut_has_no_generation(length: int) -> None:
    page = segment_page(GENERATION)
    if length < 28:
        with pytest.raises(NoRecordError):
            generation_of(page[:length])
    with pytest.raises(NoRecordError):
        generation_of(bytes(length))


def test_a_description_that_does_not_fit_is_refused() -> None:
    for head in (replace(HEAD, peer="A" * 3000), replace(HEAD, file_head=bytes(2000))):
        with pytest.raises(NoRecordError):
            head_page(head, GENERATION)


@given(st.text(max_size=64), st.text(max_size=64), st.binary(max_size=500), st.integers(0, 2**40))
def test_whatever_is_written_is_read(facility: str, peer: str, file_head: bytes, length: int) -> None:
    try:
        head = replace(HEAD, facility=facility, peer=peer, file_head=file_head, length=length)
        page = head_page(head, GENERATION)
    except UnicodeEncodeError:
        return
    assert head_of(page, GENERATION, HEAD.place) == head
