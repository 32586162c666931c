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


_MARKS = (
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
"""How data of a type begin; those of other types may begin anyhow."""
_MARKED = frozenset(media for _, media in _MARKS)
_HEAD = 16
"""Characters of base64 that hold the longest mark: 12 bytes."""
_LEAST_SHAPE = 4
"""Whoever writes fewer components says neither a type nor an encoding: it is no ED."""


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
    shape = len(parts)
    parts += [""] * (5 - shape)
    kind = content_type(scope.plain(parts[1]), scope.plain(parts[2]))
    encoding = scope.plain(parts[3]).upper()
    if not parts[4] and (astray := next(filter(_begins, parts), "")):
        scope.doubt("embedded-data-astray", "embedded data that do not stand in the fifth component; they are taken")
        kind, encoding, parts[4] = UNKNOWN_TYPE, "BASE64", astray
    elif shape < _LEAST_SHAPE and scope.plain(raw).strip("^ "):
        scope.doubt("embedded-data-unreadable", "this does not have the form of embedded data")
        raise EmbeddedUnreadable
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
    return {"contentType": _checked(kind, data, scope), "data": data} if data else None


def _checked(stated: str, data: str, scope: Scope) -> str:
    """The media type, by how the data begin where that tells: what is labelled wrongly goes by what it is."""
    found = _begins(data)
    if stated == UNKNOWN_TYPE or found == stated:
        return found or stated
    if not found and stated not in _MARKED:
        return stated
    scope.doubt("embedded-type-differs", "embedded data are not of the type that stands with them", 3)
    return found or UNKNOWN_TYPE


def _begins(data: str) -> str:
    """The media type that the beginning of base64 tells; empty where it tells none, and where it is no base64."""
    try:
        begins = base64.b64decode(data[: min(_HEAD, len(data) // 4 * 4)])
    except (binascii.Error, ValueError):
        return ""
    return next((media for mark, media in _MARKS if begins.startswith(mark)), "")


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
