"""Which picture does an object give? A tracing where it holds a waveform, else an image of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from engine.errors import ParseError
from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.rendering import picture, tracing, waveform
from pacs_gateway.rendering.choices import SVG, Asked
from pacs_gateway.rendering.tracing import Caption

_CAPTION = ("patient_name", "patient_id", "sex", "birth_date", "age", "institution", "accession")

keep_libraries_discreet()


@dataclass(frozen=True, slots=True)
class Drawing:
    content: bytes
    media_type: str


def draw(file: BinaryIO, charset: str, tags: Mapping[str, str], asked: Asked) -> Drawing:
    """`charset` is the codec that the object's text was read with, `tags` what the index says of it.

    Blocking. Raises ParseError `not-renderable`.
    """
    try:
        ecg = waveform.read(file, charset)
    except ParseError:
        return Drawing(picture.encoded(file, asked), asked.media_type)
    caption = Caption(**{name: tags.get(name, "") for name in _CAPTION})
    return Drawing(tracing.svg(ecg, caption, asked.layout).encode(), SVG)
