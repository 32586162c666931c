"""Which DICOM status says what happened? The one table from an error to the status of a response.

Codes are those of PS3.4 table B.2-1 (storage) and annex K (worklist), and the general ones of PS3.7.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from engine.errors import HutongError

SUCCESS = 0x0000
PENDING = 0xFF00
CANCELLED = 0xFE00
SOP_CLASS_NOT_SUPPORTED = 0x0122
OUT_OF_RESOURCES = 0xA700
DATA_SET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_BY_CODE = {
    "storage": OUT_OF_RESOURCES,
    "too-many-matches": OUT_OF_RESOURCES,
    "dicom-truncated": CANNOT_UNDERSTAND,
    "dicom-unparsable": CANNOT_UNDERSTAND,
    "uid-malformed": CANNOT_UNDERSTAND,
    "uid-missing": DATA_SET_MISMATCH,
    "uid-differs": DATA_SET_MISMATCH,
    "sop-class-differs": DATA_SET_MISMATCH,
    "query-malformed": DATA_SET_MISMATCH,
    "sop-class-unknown": SOP_CLASS_NOT_SUPPORTED,
}

_COMMENT_LIMIT = 64
"""Error Comment (0000,0902) is an LO."""


def success() -> Dataset:
    return _status(SUCCESS)


def failure(error: HutongError) -> Dataset:
    """The status of an error and, as its comment, what it says; an error holds no patient data."""
    status = _status(_BY_CODE.get(error.code, CANNOT_UNDERSTAND))
    status.ErrorComment = error.message.replace("\\", "/")[:_COMMENT_LIMIT]
    return status


def _status(code: int) -> Dataset:
    status = Dataset()
    status.Status = code
    return status
