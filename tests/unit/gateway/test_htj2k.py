"""A codestream has the depth that is stored, and two decoders find every sample in it as it was."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
import pytest
from openjpeg.utils import decode_pixel_data
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import get_j2k_parameters, pixel_array

from pacs_gateway.sending import htj2k


def samples(shape: tuple[int, ...], bits: int, *, signed: bool = False) -> np.ndarray[Any, Any]:
    """Everything from the least to the most that so many bits hold."""
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    container = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    made = np.random.default_rng(11).integers(least, most, shape, np.dtype(container), endpoint=True)
    made.flat[0], made.flat[-1] = least, most
    return made


@pytest.mark.parametrize("shape", [(64, 48), (1, 1), (5, 7), (1, 300), (48, 64, 3)], ids=str)
@pytest.mark.parametrize(
    ("bits", "signed"),
    [(8, False), (7, False), (16, False), (12, False), (10, False), (16, True), (12, True), (8, True)],
    ids=str,
)
def test_each_sample_comes_back_at_its_depth(shape: tuple[int, ...], bits: int, signed: bool) -> None:
    frame = samples(shape, bits, signed=signed)
    codestream = htj2k.encoded(frame, bits)
    said = get_j2k_parameters(codestream)
    assert (said["precision"], said["is_signed"]) == (bits, signed)
    by_openjpeg = np.frombuffer(decode_pixel_data(codestream, version=2), frame.dtype).reshape(shape)
    assert np.array_equal(by_openjpeg, frame)
    by_openjph = imagecodecs.htj2k_decode(codestream)
    if len(shape) == 3 and by_openjph.shape != shape:
        by_openjph = np.moveaxis(by_openjph, 0, -1)  # it has colours one after the other
    assert np.array_equal(by_openjph.reshape(shape), frame)


def test_a_radiograph_of_twelve_bits_becomes_smaller() -> None:
    frame = pixel_array(str(get_testdata_file("mlut_18.dcm")), raw=True)
    assert len(htj2k.encoded(frame, 12)) < 0.2 * frame.nbytes
