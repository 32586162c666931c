"""JPEG Extended of 12 bits is decoded as DCMTK decodes it, and a frame that breaks off is not guessed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from pacs_gateway import jpeg_extended

FILE = str(get_testdata_file("JPEG-lossy.dcm"))


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    jpeg_extended.install()


def with_frame(frame: bytes) -> Dataset:
    dataset = pydicom.dcmread(FILE)
    dataset.PixelData = encapsulate([frame])
    return dataset


def frame_of(dataset: Dataset) -> bytes:
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def test_every_sample_is_that_of_dcmtk(tmp_path: Path) -> None:
    subprocess.run(["dcmdjpeg", FILE, str(tmp_path / "plain.dcm")], check=True)
    assert np.array_equal(pydicom.dcmread(FILE).pixel_array, pydicom.dcmread(tmp_path / "plain.dcm").pixel_array)


def test_a_frame_that_breaks_off_is_refused() -> None:
    frame = frame_of(pydicom.dcmread(FILE)).rstrip(b"\0")
    for broken in (frame[: len(frame) // 2], frame[:2000] + bytes(len(frame) - 2000), b""):
        with pytest.raises((RuntimeError, ValueError)):
            _ = with_frame(broken).pixel_array


def test_a_frame_of_another_size_than_its_data_set_says_is_refused() -> None:
    dataset = pydicom.dcmread(FILE)
    dataset.Rows = 1000
    with pytest.raises(RuntimeError, match="rows and columns"):
        _ = dataset.pixel_array
