"""Which words and numbers may stand in a configuration file? The scalar types that its models share."""

from __future__ import annotations

import codecs
import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints


def _known_charset(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError("expected a character set such as utf-8 or gb18030") from None
    return value


def _ae_title(value: str) -> str:
    # DICOM PS3.5 §6.2, VR AE: at most 16 characters, no backslash, no control characters, not only spaces.
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", value) or not value.strip():
        raise ValueError("expected an AE title: 1 to 16 ASCII characters without a backslash")
    return value.strip()


def _mllp_address(value: str) -> str:
    match = re.fullmatch(r"mllp://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d{1,5})", value)
    if match is None or not 1 <= int(match.group(1)) <= 65535:
        raise ValueError("expected an address such as mllp://10.0.0.5:2575")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Port = Annotated[int, Field(ge=0, le=65535)]
Secs = Annotated[float, Field(gt=0, le=86_400)]
Charset = Annotated[str, AfterValidator(_known_charset)]
AeTitle = Annotated[str, AfterValidator(_ae_title)]
MllpAddress = Annotated[str, AfterValidator(_mllp_address)]
Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,15}$")]
MessageType = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{2}(\^[A-Z0-9]{3})?$")]
HdText = Annotated[str, StringConstraints(pattern=r"^[^|^~\\&\r\n]*$", max_length=180)]
"""The namespace of an HL7 v2 HD field, written into MSH as it is."""
