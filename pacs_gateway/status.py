"""Which DICOM status says what happened? The one table from an error to the status of a response.

Codes are those of PS3.4 table B.2-1 (storage), annex C (query and retrieve) and annex K (worklist), and the general
ones of PS3.7.
"""

from __future__ import annotations

from engine.errors import HutongError

SUCCESS = 0x0000
OPTIONAL_ATTRIBUTES_NOT_SUPPORTED = 0x0001
PENDING = 0xFF00
CANCELLED = 0xFE00
INVALID_ATTRIBUTE_VALUE = 0x0106
ATTRIBUTE_LIST_ERROR = 0x0107
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT_VALUE = 0x0115
INVALID_SOP_INSTANCE = 0x0117
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
DUPLICATE_TRANSACTION = 0x0131
UNRECOGNIZED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
UNABLE_TO_COUNT = 0xA701
UNABLE_TO_PERFORM = 0xA702
DESTINATION_UNKNOWN = 0xA801
DATA_SET_MISMATCH = 0xA900
SUBOPERATIONS_FAILED = 0xB000
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
    "study-differs": DATA_SET_MISMATCH,
    "query-malformed": DATA_SET_MISMATCH,
    "sop-class-unknown": SOP_CLASS_NOT_SUPPORTED,
}

_NORMALIZED_BY_CODE = {
    "attribute-invalid": INVALID_ATTRIBUTE_VALUE,
    "attribute-missing": MISSING_ATTRIBUTE,
    "attribute-empty": MISSING_ATTRIBUTE_VALUE,
    "argument-invalid": INVALID_ARGUMENT_VALUE,
    "instance-duplicate": DUPLICATE_SOP_INSTANCE,
    "instance-unknown": NO_SUCH_SOP_INSTANCE,
    "instance-invalid": INVALID_SOP_INSTANCE,
    "class-instance-conflict": CLASS_INSTANCE_CONFLICT,
    "event-unknown": NO_SUCH_EVENT_TYPE,
    "action-unknown": NO_SUCH_ACTION,
}
"""Of the N-services, whose statuses are the general ones of PS3.7 annex C."""

_COMMENT_LIMIT = 64
"""Error Comment (0000,0902) is an LO."""


def status_of(error: HutongError) -> int:
    return _BY_CODE.get(error.code, CANNOT_UNDERSTAND)


def normalized_status_of(error: HutongError) -> int:
    """The status of an N-service; 0110 for what has none of its own."""
    return _NORMALIZED_BY_CODE.get(error.code, PROCESSING_FAILURE)


def comment_of(error: HutongError) -> str:
    """What the error says, as an Error Comment; an error holds no patient data."""
    return error.message.replace("\\", "/")[:_COMMENT_LIMIT]
