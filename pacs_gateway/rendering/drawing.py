"""Which picture does an object give? A tracing where it holds a waveform, else an image of one frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import BinaryIO

from engine.errors import ParseError
from engine.store.imaging import Instance
from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.rendering import picture, tracing, waveform
from pacs_gateway.rendering.choices import Asked
from pacs_gateway.rendering.tracing import Caption

PNG = "image/png"
SVG = "image/svg+xml"
_CAPTION = ("patient_name", "patient_id", "sex", "birth_date", "age", "institution", "accession")

keep_libraries_discreet()


@dataclass(frozen=True, slots=True)
class Drawing:
    content: bytes
    media_type: str


def draw(instance: Instance, file: BinaryIO, asked: Asked) -> Drawing:
    """Blocking. Raises ParseError `not-renderable`."""
    try:
        ecg = waveform.read(file, json.loads(instance.charset)["used"])
    except ParseError:
        return Drawing(picture.png(file, asked.frame, asked.window), PNG)
    tags: dict[str, str] = json.loads(instance.tags)
    caption = Caption(**{name: tags.get(name, "") for name in _CAPTION})
    return Drawing(tracing.svg(ecg, caption, asked.layout).encode(), SVG)
