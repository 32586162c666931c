"""Which real radiograph and which real ECG are examined? Two that ship with pydicom's wheels; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

from pydicom.data import get_testdata_file

from conformance.errors import ConformanceError

CHEST_RADIOGRAPH = "RG1_J2KR.dcm"
"""A digital chest radiograph (CR, PA, 1841 x 1955, lossless JPEG 2000) with several round masses in both lungs."""

LOWER_LEG_RADIOGRAPH = "RG3_J2KR.dcm"
"""A computed radiograph of a right lower leg (CR, AP, 1760 x 1760, lossless JPEG 2000)."""

TWELVE_LEAD_ECG = "waveform_ecg.dcm"
"""A 12-lead resting ECG in sinus rhythm; its cart measured RR 982, PR 161, QRS 75, QT 368, QTc 370 ms."""


def chest_radiograph() -> Path:
    return _packaged(CHEST_RADIOGRAPH)


def lower_leg_radiograph() -> Path:
    return _packaged(LOWER_LEG_RADIOGRAPH)


def twelve_lead_ecg() -> Path:
    return _packaged(TWELVE_LEAD_ECG)


def _packaged(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    if not isinstance(path, str):
        raise ConformanceError(f"{name} is not installed: it comes with the packages pydicom and pydicom-data")
    return Path(path)
