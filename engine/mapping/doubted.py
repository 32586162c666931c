"""Which value of a message is a finding about? A digest of it, so that the same doubt is known again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

from engine.codecs.er7 import Message
from engine.finding import Finding

_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?-(\d+)(?:\[(\d+)\])?(?:\.\d+)?")
_DIGEST_BYTES = 12


def with_values(message: Message, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, each with the digest of the repetition that it names; without one where it names none.

    One that says itself which values it is about stays as it is.
    """
    for finding in findings:
        yield finding if finding.value else replace(finding, value=_digest(message, finding.location or ""))


def _digest(message: Message, location: str) -> str:
    place = _PLACE.fullmatch(location)
    if place is None:
        return ""
    segments = message.named(place[1])
    number, repetition = int(place[2] or 1), int(place[4] or 1)
    if number > len(segments):
        return ""
    repetitions = segments[number - 1].repetitions(int(place[3]))
    raw = repetitions[repetition - 1] if repetition <= len(repetitions) else ""
    return blake2b(raw.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest() if raw else ""
