"""Which objects are sent? Copies of a small real image, each of a study of its own."""

from __future__ import annotations

from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

IMAGING = {
    "type": "dicom",
    "ae_title": "HUTONG",
    "port": 0,
    "ae_entries": [{"ae_title": "DR_BAISHI", "facility": "baishi"}],
}
"""The channel that takes them."""


def made_objects(folder: Path, count: int) -> list[Path]:
    """Files named after their SOP Instance UIDs."""
    folder.mkdir(parents=True)
    source = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(source, str)
    for _ in range(count):
        made = dcmread(source)
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
        made.save_as(folder / f"{made.SOPInstanceUID}.dcm")
    return sorted(folder.iterdir())
