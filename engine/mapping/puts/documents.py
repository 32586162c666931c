"""TXA, and the OBX and NTE of a document: its number, its state, what it belongs to, and what it says."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.document_content import words_of_code
from engine.mapping.functions.documents import AVAILABILITY, DATE
from engine.mapping.lens.back import Back, Field
from engine.mapping.mapped import Resource
from engine.mapping.puts.appointments import event_of, written_number_of
from engine.mapping.puts.codes import Written
from engine.mapping.puts.results import KINDS
from engine.mapping.puts.times import written_time
from engine.mapping.registry import Options, Put, puts

_WITH_CONTENT = ("T02", "T04", "T06", "T08", "T10")
"""Events whose messages have OBX."""
_PLAIN = "text/plain"
_LONGEST_LINE = 200
_VALUE, _TYPE, _CODE, _PRESENTATION = range(4)
"""Places of the fields that `document_content` takes."""
_DOCUMENT = "DocumentReference"


def _is_file(identifier: Any, facility: str) -> bool:
    return bool(identifier.get("system") == facility_system(facility, "document-file"))


@puts("document_number")
def write_number(options: Options) -> Put:
    system = facility_system(options.facility, "document")

    def put(identifier: Any, back: Back) -> Field | None:
        return None if _is_file(identifier, options.facility) else written_number_of(identifier, system)

    return put


@puts("file_name")
def write_file_name(options: Options) -> Put:
    def put(identifier: Any, back: Back) -> Field | None:
        return identifier.get("value") or None if _is_file(identifier, options.facility) else None

    return put


@puts("document_status")
def write_status(options: Options) -> Put:
    """TXA-19; where a code of the sender stands beside the status, that one."""
    table = options.tables["document_availability"]

    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        for extension in (resource.get("_status") or {}).get("extension", ()):
            for coding in extension.get("valueCodeableConcept", {}).get("coding", ()):
                if coding.get("system") == AVAILABILITY:
                    return {0: coding["code"]}
        local = table.back(resource.get("status", ""))
        return {0: local} if local else None

    return put


@puts("document_completion")
def write_completion(options: Options) -> Put:
    """TXA-17; what was amended is final again, and the event says that it was edited."""
    table = options.tables["document_status"]

    def put(status: Any, back: Back) -> dict[int, Field] | None:
        local = table.back("final" if status == "amended" else status)
        return {0: local} if local else None

    return put


@puts("document_relation")
def write_relation(options: Options) -> Put:
    """The document before, where the event says of this one what it is to that."""
    events, system = options.tables["document_events"], facility_system(options.facility, "document")

    def put(relation: Any, back: Back) -> dict[int, Field] | None:
        row = events.find(event_of(back))
        if row is None or not row["relation"] or row["relation"] != relation.get("code"):
            return None
        parent = relation.get("target", {})
        found = back.resource(parent)
        numbers = [found.get("masterIdentifier"), *found.get("identifier", ()), parent.get("identifier")]
        number = next((each for each in numbers if each and each.get("value")), None)
        written = written_number_of(number, system) if number is not None else None
        return {0: written} if written is not None else None

    return put


@puts("document_date")
def write_date(options: Options) -> Put:
    def put(resource: Any, back: Back) -> Field | None:
        if at := written_time(resource.get("date")):
            return at
        days = [each.get("valueDateTime") for each in resource.get("extension", ()) if each.get("url") == DATE]
        return written_time(days[0]) or None if days else None

    return put


@puts("document_content")
def write_content(options: Options) -> Put:
    """One OBX for each attachment that holds or names something, under the words that stand with it."""
    written = Written(options, None)

    def put(content: Any, back: Back) -> dict[int, Field] | None:
        attachment = content.get("attachment", {})
        document = _document_of(content, back)
        media = attachment.get("contentType", "")
        shown: dict[int, Field] = {_PRESENTATION: presentation} if (presentation := _presentation(media)) else {}
        value = _value(attachment) if event_of(back) in _WITH_CONTENT else None
        if value is None:
            return shown or None
        return {**value, _CODE: _code(content, document, written), **shown}

    return put


def _document_of(content: Any, back: Back) -> Resource:
    """The document that has this content."""
    those = back.of_type(_DOCUMENT)
    return next((each for each in those if any(part is content for part in each.get("content", ()))), {})


def _code(content: Any, document: Resource, written: Written) -> Field:
    """OBX-3, which is required: the title; the kind of document where the title says that, or there is nothing else.

    Of several without a title each has its number: texts of one code in a row would be read as one.
    """
    title = content.get("attachment", {}).get("title", "")
    code = written.of(document.get("type", {}))
    contents = document.get("content", ())
    alone = not title and len(contents) < 2
    if code is not None and (alone or title == words_of_code(code[:2])):
        return code
    number = next((at for at, each in enumerate(contents, 1) if each is content), 1)
    return title or f"DOC{number}"


def _value(attachment: Any) -> dict[int, Field] | None:
    """OBX-5 and OBX-2: text, data or an address; None where there is nothing yet."""
    media, data = attachment.get("contentType", ""), attachment.get("data", "")
    if data and media.partition(";")[0].strip() == _PLAIN and (text := _text(data)) is not None:
        return {_VALUE: text, _TYPE: "FT" if "\n" in text or len(text) > _LONGEST_LINE else "TX"}
    kind, subtype = KINDS.get(media) or media.partition(";")[0].partition("/")[::2]
    if data:
        return {_VALUE: ("", kind, subtype, "Base64", data), _TYPE: "ED"}
    if address := attachment.get("url", ""):
        return {_VALUE: (address, "", kind, subtype), _TYPE: "RP"}
    return None


def _text(data: str) -> str | None:
    """The text of base64; None where it is not UTF-8, so that it is sent as data."""
    try:
        return b64decode(data).decode() or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _presentation(media: str) -> str:
    """TXA-3 (HL7 table 0191), by the type of what the document holds."""
    plain = media.partition(";")[0].strip()
    if plain == _PLAIN:
        return "TX"
    kind, _, _ = plain.partition("/")
    return {"image": "IM", "audio": "AU", "text": "TEXT"}.get(kind, "AP") if plain else ""


@puts("comment_content")
def write_comment(options: Options) -> Put:
    """Words without a title after other content: comments, one NTE for each line."""

    def put(content: Any, back: Back) -> dict[int, Field] | None:
        attachment = content.get("attachment", {})
        contents = _document_of(content, back).get("content", ())
        if len(contents) < 2 or contents[-1] is not content or attachment.get("title"):
            return None
        if attachment.get("contentType") != _PLAIN or not (text := _text(attachment.get("data", ""))):
            return None
        return {0: text}

    return put
