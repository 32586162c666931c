"""What did the electrodes measure? An ECG object's rhythm strip as leads in millivolt (PS3.3 C.10.9)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian
from pydicom.waveforms.numpy_handler import multiplex_array

from engine.codecs.text import decode
from engine.errors import ParseError

Signal = NDArray[np.float32]

_LEADS = {
    1: "I",
    2: "II",
    3: "V1",
    4: "V2",
    5: "V3",
    6: "V4",
    7: "V5",
    8: "V6",
    61: "III",
    62: "aVR",
    63: "aVL",
    64: "aVF",
}
"""Lead numbers that SCP-ECG (EN 1064) and the MDC codes of IEEE 11073-10101 share."""
_LEAD_CODE = re.compile(r"(?:5\.6\.3-9-|2:)(\d{1,3})")
_LEAD_NAME = re.compile(r"(?<![A-Za-z])(III|II|I|aV[RLF]|V[1-6])(?![A-Za-z0-9])", re.IGNORECASE)
_CANONICAL = {name.upper(): name for name in _LEADS.values()}
_MILLIVOLTS = {"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3}
_MEASUREMENTS = {
    "heart rate": "heart_rate",
    "ventricular heart rate": "heart_rate",
    "rr interval": "rr",
    "pr interval": "pr",
    "qrs duration": "qrs",
    "qt interval": "qt",
    "qtc interval": "qtc",
    "p axis": "p_axis",
    "qrs axis": "qrs_axis",
    "t axis": "t_axis",
}
_SAMPLES_LIMIT = 20_000_000
"""A day of one channel at 200 Hz; a rhythm strip has ten seconds of twelve."""


@dataclass(frozen=True, slots=True)
class Ecg:
    """A recording of simultaneous leads.

    leads         millivolt by lead name, all of one length; NaN where nothing was measured
    rate_hz       samples per second
    recorded_at   as the device says it, without a zone
    statements    what the device concluded; no physician has seen it
    measurements  by name: heart_rate in 1/min, rr, pr, qrs, qt, qtc in ms, axes in degrees
    filter_hz     band the device passed, where it says so
    """

    leads: dict[str, Signal]
    rate_hz: float
    recorded_at: datetime | None
    statements: tuple[str, ...]
    measurements: dict[str, float]
    filter_hz: tuple[float, float] | None

    @property
    def seconds(self) -> float:
        return len(next(iter(self.leads.values()))) / self.rate_hz


def read(file: BinaryIO, charset: str) -> Ecg:
    """Reads the longest multiplex group: the rhythm, not the median beat. `charset` is the codec of its text.

    Raises ParseError `not-renderable` when there is no waveform, or one without the sensitivity a scale needs.
    """
    file.seek(0)
    dataset = pydicom.dcmread(file)
    groups = dataset.get("WaveformSequence") or []
    if not groups:
        raise ParseError("the object has no waveform", code="not-renderable")
    try:
        index = max(range(len(groups)), key=lambda n: groups[n].NumberOfWaveformSamples / groups[n].SamplingFrequency)
        return _ecg(dataset, index, charset)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error) as error:
        raise ParseError("the waveform cannot be read", code="not-renderable") from error


def _ecg(dataset: Dataset, index: int, charset: str) -> Ecg:
    group = dataset.WaveformSequence[index]
    if group.NumberOfWaveformSamples * group.NumberOfWaveformChannels > _SAMPLES_LIMIT:
        raise ParseError("the waveform is too long to be shown", code="not-renderable")
    samples = multiplex_array(dataset, index, as_raw=True)
    if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        samples = samples.byteswap()  # multiplex_array takes the machine's order
    padding = _padding(group, samples.dtype)
    leads: dict[str, Signal] = {}
    for number, channel in enumerate(group.ChannelDefinitionSequence):
        signal = samples[:, number].astype(np.float32) * _scale(channel) + _baseline(channel)
        if padding is not None:
            signal[samples[:, number] == padding] = np.nan
        leads.setdefault(_lead(channel, number), signal)
    return Ecg(
        leads=leads,
        rate_hz=float(group.SamplingFrequency),
        recorded_at=_moment(str(dataset.get("AcquisitionDateTime") or "")),
        statements=_statements(dataset, charset),
        measurements=_measurements(dataset),
        filter_hz=_filter(group.ChannelDefinitionSequence[0]),
    )


def _lead(channel: Dataset, number: int) -> str:
    source = channel.ChannelSourceSequence[0] if channel.get("ChannelSourceSequence") else Dataset()
    code = _LEAD_CODE.fullmatch(str(source.get("CodeValue") or ""))
    if code and int(code.group(1)) in _LEADS:
        return _LEADS[int(code.group(1))]
    for text in (source.get("CodeMeaning"), channel.get("ChannelLabel")):
        if found := _LEAD_NAME.search(str(text or "")):
            return _CANONICAL[found.group(1).upper()]
    return f"{channel.get('ChannelLabel') or source.get('CodeMeaning') or number + 1}"[:16]


def _scale(channel: Dataset) -> float:
    """Millivolt per unit of a sample."""
    if channel.get("ChannelSensitivity") is None:
        raise ParseError("the waveform does not say its sensitivity", code="not-renderable")
    correction = channel.get("ChannelSensitivityCorrectionFactor")
    return float(channel.ChannelSensitivity) * float(1 if correction is None else correction) * _unit(channel)


def _baseline(channel: Dataset) -> float:
    return float(channel.get("ChannelBaseline") or 0) * _unit(channel)


def _unit(channel: Dataset) -> float:
    return _MILLIVOLTS[str(channel.ChannelSensitivityUnitsSequence[0].CodeValue)]


def _padding(group: Dataset, dtype: Any) -> Any:
    value = group.get("WaveformPaddingValue")
    if value is None:
        return None
    return np.frombuffer(value, dtype)[0] if isinstance(value, bytes) else value


def _filter(channel: Dataset) -> tuple[float, float] | None:
    low, high = channel.get("FilterLowFrequency"), channel.get("FilterHighFrequency")
    return None if low is None or high is None else (float(low), float(high))


def _statements(dataset: Dataset, charset: str) -> tuple[str, ...]:
    found = []
    for annotation in dataset.get("WaveformAnnotationSequence") or []:
        if "UnformattedTextValue" in annotation:
            raw = annotation.get_item("UnformattedTextValue").value
            text = decode(raw, charset).text if isinstance(raw, bytes) else str(raw or "")
            found.append(text.strip(" \0\ufffd"))
    return tuple(text for text in found if text)


def _measurements(dataset: Dataset) -> dict[str, float]:
    """The first value of each; later ones belong to single beats. An interval of 0 means that none was measured."""
    found: dict[str, float] = {}
    for annotation in dataset.get("WaveformAnnotationSequence") or []:
        names, value = annotation.get("ConceptNameCodeSequence"), annotation.get("NumericValue")
        name = _MEASUREMENTS.get(str(names[0].get("CodeMeaning") or "").lower()) if names else None
        if name is None or value is None or isinstance(value, list):
            continue
        if float(value) > 0 or name.endswith("axis"):
            found.setdefault(name, float(value))
    if "rr" in found:
        found.setdefault("heart_rate", round(60_000 / found["rr"]))
    return found


def _moment(value: str) -> datetime | None:
    try:
        return datetime.strptime(value[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007 - shown as the device wrote it
    except ValueError:
        return None
