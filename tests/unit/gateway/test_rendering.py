"""A picture shows what the object says it shows; an ECG is drawn to scale."""

from __future__ import annotations

import io
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from engine.errors import ParseError
from pacs_gateway.rendering import picture, tracing, waveform
from pacs_gateway.rendering.choices import Layout, Window
from pacs_gateway.rendering.tracing import Caption
from pacs_gateway.rendering.waveform import Ecg

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)
STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def real(name: str) -> io.BytesIO:
    return io.BytesIO(Path(str(get_testdata_file(name))).read_bytes())


def image(pixels: NDArray[Any] = RAMP, **attributes: Any) -> io.BytesIO:
    dataset = Dataset()
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    return written(dataset)


def written(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> io.BytesIO:
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream


def shown(file: io.BytesIO, **options: Any) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(picture.png(file, **options))))


def test_without_a_window_the_whole_range_is_shown() -> None:
    grey = shown(image(RAMP + 1000))
    assert (grey[0, 0], grey[-1, -1]) == (0, 255)


def test_monochrome1_shows_low_values_bright() -> None:
    assert np.array_equal(shown(image(PhotometricInterpretation="MONOCHROME1")), 255 - shown(image()))


def test_a_window_clips_what_is_outside() -> None:
    grey = shown(image(WindowCenter=128, WindowWidth=64)).ravel()
    assert set(grey[:96]) == {0}
    assert set(grey[160:]) == {255}
    assert 120 <= grey[128] <= 136
    assert np.all(np.diff(grey.astype(int)) >= 0)


def test_of_several_windows_the_first_is_shown() -> None:
    several = image(WindowCenter=[128, 1000], WindowWidth=[64, 10])
    assert np.array_equal(shown(several), shown(image(WindowCenter=128, WindowWidth=64)))


def test_a_window_that_was_asked_for_wins() -> None:
    asked = shown(image(WindowCenter=1000, WindowWidth=1), window=Window(128, 64))
    assert np.array_equal(asked, shown(image(WindowCenter=128, WindowWidth=64)))


@pytest.mark.parametrize(
    ("function", "values"),
    [("LINEAR", (0, 85, 170, 255)), ("LINEAR_EXACT", (0, 64, 128, 191)), ("SIGMOID", (30, 69, 128, 186))],
)
def test_window_functions_are_those_of_the_standard(function: str, values: tuple[int, ...]) -> None:
    four = np.array([[0, 1], [2, 3]], dtype=np.uint16)
    assert tuple(shown(image(four), window=Window(2, 4, function)).ravel()) == pytest.approx(values, abs=1)


def test_rescaling_comes_before_the_window() -> None:
    rescaled = image(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=156, WindowWidth=128)
    grey = shown(rescaled).ravel()
    assert grey[96] <= 2
    assert grey[160] >= 253


@pytest.mark.parametrize(
    "data",
    [bytes(range(255, -1, -1)), np.arange(255, -1, -1, dtype="<u2").tobytes()],
    ids=["two entries to a word", "one entry to a word"],
)
def test_a_voi_table_is_applied(data: bytes) -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.LUTData = data
    table["LUTData"].VR = "OW"
    assert np.array_equal(shown(image(VOILUTSequence=Sequence([table]))).ravel(), np.arange(255, -1, -1))


def test_padding_does_not_take_part_in_the_range() -> None:
    pixels = RAMP + 1000
    pixels[0, :] = 0
    assert shown(image(pixels, PixelPaddingValue=0))[1, 0] <= 20


def test_pixels_that_are_not_square_are_stretched() -> None:
    assert shown(image(PixelSpacing=[0.2, 0.1])).shape == (32, 16)
    assert shown(image(PixelAspectRatio=[1, 2])).shape == (16, 32)


@pytest.mark.parametrize("name", ["RG1_UNCR.dcm", "RG3_J2KI.dcm"])
def test_a_real_radiograph_is_shown_with_bright_bones(name: str) -> None:
    header, grey = pydicom.dcmread(real(name)), shown(real(name))
    assert grey.shape == (header.Rows, header.Columns)
    stored = header.pixel_array
    assert header.PhotometricInterpretation == "MONOCHROME1"
    assert np.corrcoef(stored.ravel(), grey.ravel())[0, 1] < -0.5


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("examples_palette.dcm", (350, 800, 3)),
        ("examples_ybr_color.dcm", (240, 320, 3)),
        ("SC_rgb_16bit.dcm", (100, 100, 3)),
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", (768, 1024)),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64)),
        ("JPEG-lossy.dcm", (1024, 256)),
        ("MR_small_bigendian.dcm", (64, 64)),
        ("image_dfl.dcm", (512, 512)),
        ("liver_1frame.dcm", (512, 512)),
        ("vlut_04.dcm", (512, 512)),
    ],
)
def test_every_kind_of_image_is_shown(name: str, shape: tuple[int, ...]) -> None:
    grey = shown(real(name))
    assert grey.shape == shape
    assert grey.min() != grey.max()


def test_each_frame_is_its_own_picture() -> None:
    first, last = shown(real("color3d_jpeg_baseline.dcm")), shown(real("color3d_jpeg_baseline.dcm"), frame=119)
    assert first.shape == last.shape
    assert not np.array_equal(first, last)


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "waveform_ecg.dcm", "MR_truncated.dcm", "badVR.dcm"])
def test_what_is_no_image_or_a_broken_one_is_not_renderable(name: str) -> None:
    with pytest.raises(ParseError) as raised:
        picture.png(real(name))
    assert raised.value.code == "not-renderable"


@pytest.mark.parametrize("frame", [-1, 1, 10**9])
def test_a_frame_that_is_not_there_is_not_renderable(frame: int) -> None:
    with pytest.raises(ParseError):
        picture.png(image(), frame=frame)


def test_a_picture_larger_than_any_detector_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ParseError):
        picture.png(image(Rows=60000, Columns=60000))


def recording(**changes: Any) -> Ecg:
    values: dict[str, Any] = {
        "leads": {lead: np.zeros(5000, dtype=np.float32) for lead in STANDARD},
        "rate_hz": 500.0,
        "recorded_at": datetime(2026, 1, 2, 10, 15),  # noqa: DTZ001 - a device writes no zone
        "statements": (),
        "measurements": {},
        "filter_hz": None,
    }
    return Ecg(**(values | changes))


def traces(drawing: str) -> list[list[tuple[float, float]]]:
    """Points of each lead's line, in millimetres."""
    paths = re.findall(r'<path d="(M[^"hv]*)" class="trace"/>', drawing)
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)] for path in paths]


def labels(drawing: str) -> list[str]:
    return re.findall(r'font-weight="bold">([^<]*)</text>', drawing)[1:]


def test_a_second_is_25_mm_and_a_millivolt_10_mm() -> None:
    step = np.zeros(5000, dtype=np.float32)
    step[500:] = 1.0
    drawing = tracing.svg(recording(leads={**recording().leads, "I": step}))
    line = traces(drawing)[0]
    before, after = line[0], next(point for point in line if point[1] != line[0][1])
    assert after[0] - before[0] == pytest.approx(25.0, abs=0.06)
    assert before[1] - after[1] == pytest.approx(10.0, abs=0.01)
    assert "25 mm/s" in drawing
    assert "10 mm/mV" in drawing


def test_the_grid_is_of_one_and_five_millimetres_and_the_page_measured_in_them() -> None:
    root = ET.fromstring(tracing.svg(recording()))
    assert root.attrib["width"].endswith("mm")
    assert root.attrib["viewBox"].split()[2] == root.attrib["width"].removesuffix("mm")
    patterns = {element.attrib["width"] for element in root.iter("{http://www.w3.org/2000/svg}pattern")}
    assert patterns == {"1", "5"}


def test_every_row_has_a_calibration_pulse_of_one_millivolt_and_a_fifth_of_a_second() -> None:
    pulses = re.findall(r"v-10\.00h5\.00v10\.00", tracing.svg(recording()))
    assert len(pulses) == 4


@pytest.mark.parametrize(
    ("layout", "order"),
    [
        (Layout.THREE_BY_FOUR, ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]),
        (Layout.SIX_BY_TWO, ["I", "V1", "II", "V2", "III", "V3", "aVR", "V4", "aVL", "V5", "aVF", "V6", "II"]),
    ],
)
def test_leads_stand_where_a_cardiologist_looks_for_them(layout: Layout, order: list[str]) -> None:
    assert labels(tracing.svg(recording(), layout=layout)) == order


def test_leads_of_a_row_follow_each_other_in_time() -> None:
    """A pulse in all leads at second 6 falls into the third quarter only."""
    beat = np.zeros(5000, dtype=np.float32)
    beat[3000:3010] = 1.0
    first_row = traces(tracing.svg(recording(leads=dict.fromkeys(STANDARD, beat))))[:4]
    assert [len({y for _, y in line}) > 1 for line in first_row] == [False, False, True, False]


def test_a_peak_of_a_single_sample_survives_a_high_sampling_rate() -> None:
    signal = np.zeros(80_000, dtype=np.float32)
    signal[12_345] = 2.0
    ecg = recording(leads=dict.fromkeys(STANDARD, signal), rate_hz=8000.0)
    line = traces(tracing.svg(ecg))[0]
    assert min(y for _, y in line) == pytest.approx(line[0][1] - 20.0, abs=0.01)
    assert len(line) < 2000


def test_a_gap_in_the_recording_is_a_gap_in_the_line() -> None:
    signal = np.zeros(5000, dtype=np.float32)
    signal[100:200] = np.nan
    drawing = tracing.svg(recording(leads={**recording().leads, "I": signal}))
    assert "nan" not in drawing.lower()
    path = re.findall(r'<path d="(M[^"hv]*)" class="trace"/>', drawing)[0]
    assert path.count("M") == 2


def test_a_recording_of_other_leads_is_drawn_a_lead_to_a_row() -> None:
    ecg = recording(leads={"II": np.zeros(5000, dtype=np.float32), "X": np.zeros(5000, dtype=np.float32)})
    assert labels(tracing.svg(ecg)) == ["II", "X"]


def test_a_long_recording_says_that_only_its_beginning_is_shown() -> None:
    ecg = recording(leads=dict.fromkeys(STANDARD, np.zeros(30_000, dtype=np.float32)))
    assert "显示前 10 秒，全长 60 秒" in tracing.svg(ecg)
    assert "显示前" not in tracing.svg(recording())


HOSTILE = '<script>alert("x")</script>&\x00\x1b'


def test_no_text_from_outside_becomes_markup() -> None:
    caption = Caption(*[HOSTILE] * 7)
    drawing = tracing.svg(recording(statements=(HOSTILE,), leads={HOSTILE: np.zeros(10, dtype=np.float32)}), caption)
    root = ET.fromstring(drawing)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg",
        "defs",
        "style",
        "pattern",
        "path",
        "rect",
        "text",
    }
    assert "alert" in "".join(root.itertext())


def test_a_person_is_named_as_a_reader_names_him() -> None:
    drawing = tracing.svg(recording(), Caption("ZHANG^WEI=张^伟", "P1", "M", "19700131", "056Y", "白石乡卫生院", "A1"))
    for text in ("张伟", "男", "56 岁", "1970-01-31", "患者编号 P1", "采集时间 2026-01-02 10:15:00", "白石乡卫生院"):
        assert text in drawing
    assert "ZHANG^WEI" not in drawing
    assert "Wang Wu" in tracing.svg(recording(), Caption("Wang^Wu"))


def test_what_the_device_concluded_is_marked_as_seen_by_no_physician() -> None:
    assert "未经医师审核" in tracing.svg(recording(statements=("窦性心律",)))
    assert "未经医师审核" not in tracing.svg(recording())


def test_a_real_ecg_is_read_in_millivolt() -> None:
    ecg = waveform.read(real("waveform_ecg.dcm"), "utf-8")
    assert tuple(sorted(ecg.leads)) == tuple(sorted(STANDARD))
    assert (ecg.rate_hz, ecg.seconds) == (1000.0, 10.0)
    raw = pydicom.dcmread(real("waveform_ecg.dcm")).waveform_array(0)  # microvolt
    assert np.allclose(ecg.leads["I"], raw[:, 0] / 1000, atol=1e-4)
    assert np.allclose(ecg.leads["II"], ecg.leads["I"] + ecg.leads["III"], atol=0.02)  # Einthoven
    assert ecg.statements == ("RITMO SINUSALE", "ECG NORMALE")
    assert (ecg.measurements["heart_rate"], ecg.measurements["pr"], ecg.measurements["qrs_axis"]) == (61, 161, 52)


def test_an_ecg_is_read_the_same_in_either_byte_order() -> None:
    dataset = pydicom.dcmread(real("waveform_ecg.dcm"))
    for group in dataset.WaveformSequence:
        group.WaveformData = np.frombuffer(group.WaveformData, "<i2").astype(">i2").tobytes()
    big = Dataset()
    big.WaveformSequence = dataset.WaveformSequence
    swapped = waveform.read(written(big, ExplicitVRBigEndian), "utf-8")
    assert np.array_equal(swapped.leads["V1"], waveform.read(real("waveform_ecg.dcm"), "utf-8").leads["V1"])


def test_a_recording_without_a_sensitivity_is_not_drawn_to_a_scale_it_does_not_have() -> None:
    dataset = pydicom.dcmread(real("waveform_ecg.dcm"))
    for group in dataset.WaveformSequence:
        for channel in group.ChannelDefinitionSequence:
            del channel.ChannelSensitivity
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(ParseError) as raised:
        waveform.read(stream, "utf-8")
    assert raised.value.code == "not-renderable"


def test_an_image_is_no_ecg() -> None:
    with pytest.raises(ParseError):
        waveform.read(real("CT_small.dcm"), "utf-8")
