"""ED and RP: data embedded in a message, and pointers to data elsewhere."""

from __future__ import annotations

import base64
import binascii

from engine.mapping.scope import Scope

Attachment = dict[str, str]
UNKNOWN_TYPE = "application/octet-stream"
_CONTENT_TYPES = {
    "PDF": "application/pdf",
    "JPEG": "image/jpeg",
    "JPG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "DICOM": "application/dicom",
    "XML": "application/xml",
    "HTML": "text/html",
    "RTF": "text/rtf",
}


class EmbeddedUnreadable(Exception):
    """The data are not encoded as they say."""


def content_type(kind: str, subtype: str) -> str:
    """The media type of a type of data and its subtype (HL7 tables 0191 and 0291)."""
    if "/" in kind:
        return kind.lower()
    known = _CONTENT_TYPES.get(subtype.upper()) or _CONTENT_TYPES.get(kind.upper())
    return known or UNKNOWN_TYPE


def embedded(raw: str, scope: Scope) -> Attachment | None:
    """ED: source, type of data, subtype, encoding, data; None where there are no data.

    Raises EmbeddedUnreadable, with the doubt noted.
    """
    parts = raw.split("^")
    parts += [""] * (5 - len(parts))
    kind = content_type(scope.plain(parts[1]), scope.plain(parts[2]))
    encoding = scope.plain(parts[3]).upper()
    if encoding == "BASE64":
        data = "".join(parts[4].replace("\\.br\\", "").replace("\\X0D\\", "").replace("\\X0A\\", "").split())
        if not _is_base64(data):
            scope.doubt("embedded-data-unreadable", "embedded data that is no base64", 5)
            raise EmbeddedUnreadable
    elif encoding == "HEX":
        try:
            data = base64.b64encode(bytes.fromhex(parts[4])).decode("ascii")
        except ValueError as error:
            scope.doubt("embedded-data-unreadable", "embedded data that is no hexadecimal", 5)
            raise EmbeddedUnreadable from error
    else:
        data = base64.b64encode(scope.plain(parts[4]).encode()).decode("ascii")
    return {"contentType": kind, "data": data} if data else None


def _is_base64(data: str) -> bool:
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        return False
    return True


def pointer(raw: str, scope: Scope) -> tuple[str, str]:
    """RP: the address (or, without a scheme, the words that stand for it) and the media type of what is there."""
    parts = scope.components(raw)
    parts += [""] * (4 - len(parts))
    address = "".join(parts[0].split()) if ":" in parts[0] else parts[0]
    return address, content_type(parts[2], parts[3])
