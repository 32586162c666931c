"""A picture is known by its bytes."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from conformance.errors import UnexpectedAnswerError
from conformance.pictures import LEADS, Picture, picture_of


def png(columns: int, rows: int) -> bytes:
    file = BytesIO()
    Image.new("L", (columns, rows)).save(file, "PNG")
    return file.getvalue()


def test_the_size_of_a_png_is_read() -> None:
    assert picture_of(png(1841, 1955)) == Picture("PNG", 1841, 1955)


def test_half_a_png_is_no_picture() -> None:
    with pytest.raises(UnexpectedAnswerError):
        picture_of(png(64, 64)[:-20])


def test_the_leads_drawn_in_an_svg_are_read() -> None:
    drawn = "".join(f"<text>{lead}</text>" for lead in LEADS)
    assert picture_of(f'<?xml version="1.0"?><svg xmlns="x">{drawn}</svg>'.encode()) == Picture("SVG", leads=LEADS)
    assert picture_of(b"<svg><text>V1</text></svg>").leads == ("V1",)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\xff\xd8\xff\xe0 JFIF", b'{"error": 1}'])
def test_anything_else_is_no_picture(content: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError):
        picture_of(content)
