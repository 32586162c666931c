"""What may be chosen about a picture? Plain values, so that asking for one loads no decoder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are shown from black to white: centre and width after the modality transformation.

    function  LINEAR, LINEAR_EXACT or SIGMOID (PS3.3 C.11.2.1.2)
    """

    centre: float
    width: float
    function: str = "LINEAR"


class Layout(StrEnum):
    """How the twelve leads of an ECG stand on the page.

    Leads of one row follow each other in time, as on the paper of a three- or six-channel recorder.
    """

    THREE_BY_FOUR = "3x4"
    SIX_BY_TWO = "6x2"


PNG = "image/png"
JPEG = "image/jpeg"
SVG = "image/svg+xml"


@dataclass(frozen=True, slots=True)
class Viewport:
    """A picture is made no larger than this, in pixels, and keeps its proportions."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about the picture it wants; frames are counted from 0.

    media_type  of an image; a tracing is always drawn as SVG
    quality     of a JPEG, 1 to 100
    """

    frame: int = 0
    window: Window | None = None
    layout: Layout = Layout.THREE_BY_FOUR
    media_type: str = PNG
    viewport: Viewport | None = None
    quality: int = 90
