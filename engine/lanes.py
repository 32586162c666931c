"""In which lanes does a message wait? One for each patient it names, or its channel's own when it names none."""

from __future__ import annotations

from engine.codecs.er7_header import Header
from engine.identifiers import lane


def lanes_of(header: Header | None, facility: str, channel: str) -> tuple[str, ...]:
    """Every (facility, identifier) of PID-3, MRG-1, MRG-2, MRG-4; without a header that can be read, the channel's."""
    named = tuple(lane(facility, storable(value)) for value in header.patient_ids) if header is not None else ()
    return named or (lane(facility, f"channel {channel}"),)


def storable(text: str) -> str:
    """Text as PostgreSQL can hold it: no U+0000, no lone surrogates. The payload keeps the bytes."""
    if text.isprintable():
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
