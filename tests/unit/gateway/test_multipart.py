"""A multipart body is read the same however it is cut, and what is none is refused."""

from __future__ import annotations

from uuid import uuid4

import pytest

from engine.errors import FramingError
from pacs_gateway.dicomweb.multipart import HEADERS_LIMIT_BYTES, PREAMBLE_LIMIT_BYTES, Begun, Content, MultipartReader

TWO = (
    b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\nfirst\r\n--c\r\n-"
    b"\r\n--b  \r\n\r\nsecond\r\n\r\n--b--\r\nwhat follows says nothing\r\n--b\r\n\r\n"
)


def parts(body: bytes, step: int, boundary: str = "b") -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(boundary)
    found: list[tuple[dict[str, str], bytes]] = []
    content = b""
    for at in range(0, len(body), step):
        for event in reader.receive(body[at : at + step]):
            if isinstance(event, Begun):
                found.append((event.headers, b""))
                content = b""
            elif isinstance(event, Content):
                content += event.piece
            else:
                found[-1] = (found[-1][0], content)
    reader.finish()
    return found


def received(reader: MultipartReader, body: bytes) -> None:
    """Feeds a body of which the end is not told."""
    for at in range(0, len(body), 4096):
        list(reader.receive(body[at : at + 4096]))


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("preamble", [b"", b"This is a preamble.", b"\r\n"])
def test_parts_are_the_same_however_the_body_is_cut(step: int, preamble: bytes) -> None:
    assert parts(preamble + TWO, step) == [
        ({"content-type": "application/dicom"}, b"first\r\n--c\r\n-"),
        ({}, b"second\r\n"),
    ]


@pytest.mark.parametrize("step", [1, 1000])
def test_the_first_delimiter_may_begin_the_body(step: int) -> None:
    assert parts(b"--b\r\nA: 1\r\n\r\n\r\n--b--", step) == [({"a": "1"}, b"")]


def test_a_multipart_in_a_part_is_content() -> None:
    inner = b"--in\r\n\r\nx\r\n--in--"
    assert parts(b"--b\r\nContent-Type: multipart/related\r\n\r\n" + inner + b"\r\n--b--", 1000)[0][1] == inner


@pytest.mark.parametrize(
    "body", [b"", b"--b", b"--b\r\nA: 1", b"--b\r\nA: 1\r\n\r\ncontent", b"--b\r\nA: 1\r\n\r\nx\r\n--"]
)
def test_a_body_that_is_cut_is_refused_at_its_end(body: bytes) -> None:
    with pytest.raises(FramingError):
        parts(body, 1000)


@pytest.mark.parametrize(
    "body",
    [
        b"x" * (PREAMBLE_LIMIT_BYTES + 10_000),
        b"--b" + b" " * (HEADERS_LIMIT_BYTES + 10),
        b"--b\r\n" + b"A: 1\r\n" * HEADERS_LIMIT_BYTES,
        b"--b\r\nno header\r\n\r\nx\r\n--b--",
        b"--bb\r\n\r\nx\r\n--b--",
    ],
)
def test_a_body_without_its_boundary_or_with_endless_headers_is_refused_before_it_ends(body: bytes) -> None:
    with pytest.raises(FramingError):
        received(MultipartReader("b"), body)


def test_a_boundary_as_long_as_orthancs_is_taken() -> None:
    boundary = f"{uuid4()}-{uuid4()}"
    body = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\nDICM\r\n--{boundary}--\r\n".encode()
    assert [content for _, content in parts(body, 7, boundary)] == [b"DICM"]


@pytest.mark.parametrize("boundary", ["", " ", "b\r\nX: 1", "b" * 201, "b\0", "ü"])
def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    with pytest.raises(FramingError):
        MultipartReader(boundary)
