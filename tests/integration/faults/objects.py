"""Which objects are sent? Copies of a small real image, each of a study of its own."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import PYDICOM_ROOT_UID

IMAGING = {
    "type": "dicom",
    "ae_title": "HUTONG",
    "port": 0,
    "ae_entries": [{"ae_title": "DR_BAISHI", "facility": "baishi"}],
}
"""The channel that takes them."""


def made_objects(folder: Path, count: int) -> list[Path]:
    """Files named after their SOP Instance UIDs; bytes are replaced, because a thousand take seconds to be encoded."""
    folder.mkdir(parents=True)
    name = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(name, str)
    source = Path(name).read_bytes()
    said = dcmread(name, stop_before_pixels=True)
    uids = [str(uid) for uid in (said.SOPInstanceUID, said.StudyInstanceUID, said.SeriesInstanceUID)]
    for _ in range(count):
        content, others = source, [_another(uid) for uid in uids]
        for uid, other in zip(uids, others, strict=True):
            content = content.replace(uid.encode(), other.encode())
        (folder / f"{others[0]}.dcm").write_bytes(content)
    return sorted(folder.iterdir())


def _another(uid: str) -> str:
    """Of the same length, so that everything else stays where it is."""
    room = len(uid) - len(PYDICOM_ROOT_UID)
    return PYDICOM_ROOT_UID + str(secrets.randbelow(9 * 10 ** (room - 1)) + 10 ** (room - 1))
