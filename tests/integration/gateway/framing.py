"""How does an object of a test come by encapsulated frames?"""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.uid import UID


def with_frames(path: Path, syntax: str, fragments: bytes, count: int) -> Path:
    """The same object with encapsulated frames of our making."""
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.NumberOfFrames = count
    dataset["PixelData"].VR = "OB"
    dataset.PixelData = fragments
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    return path
