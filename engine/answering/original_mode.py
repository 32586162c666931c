"""What is asked for in a query of original mode? QRD, and of a schedule ARQ, PID and the resources beside it.

Pure. QRY^A19 asks for patients, SQM^S25 for appointments and blocked times; both belong to versions 2.1 to 2.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.answering.criteria import Criterion, QueryError
from engine.codecs.er7 import Message, Segment

MAX_SUBJECTS = 50
"""Repetitions of QRD-8, and segments that name a resource, that are looked at."""
MAX_ANSWERED = 200
_NUMBER, _FAMILY, _GIVEN, _AUTHORITY = 0, 1, 2, 8
"""Components of XCN, from 0."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who is asked for: a number with the domain that gave it, or a name."""

    place: str
    number: str = ""
    authority: Sequence[str] = ()
    family: str = ""
    given: str = ""

    @property
    def name(self) -> list[Criterion]:
        parts = ((1, self.family), (2, self.given))
        return [Criterion(5, component, 0, value) for component, value in parts if value]


@dataclass(frozen=True, slots=True)
class Named:
    """A person, a place or a device by the field that books it: AIP-3, AIL-3, AIG-3, as it came."""

    kind: str
    raw: str


def subjects(qrd: Segment) -> list[Subject]:
    """Those of QRD-8 (XCN)."""
    return [each for at, raw in enumerate(qrd.repetitions(8)[:MAX_SUBJECTS]) if (each := _subject(qrd, raw, at))]


def _subject(qrd: Segment, raw: str, at: int) -> Subject | None:
    components = qrd.components(raw)
    parts = [*(qrd.unescape(part).strip() for part in components), *[""] * 9]
    authority = qrd.subcomponents(components[_AUTHORITY]) if len(components) > _AUTHORITY else []
    found = Subject(
        f"QRD-8[{at + 1}]",
        parts[_NUMBER],
        [qrd.unescape(part) for part in authority],
        parts[_FAMILY],
        parts[_GIVEN],
    )
    return found if found.number or found.family or found.given else None


def patients_of(message: Message) -> list[Subject]:
    """Those of PID-3 (CX), each number."""
    found = []
    for pid in message.named("PID")[:1]:
        for at, raw in enumerate(pid.repetitions(3)[:MAX_SUBJECTS]):
            parts = pid.components(raw)
            authority = [pid.unescape(part) for part in pid.subcomponents(parts[3])] if len(parts) > 3 else []
            if number := pid.unescape(parts[0]).strip():
                found.append(Subject(f"PID-3[{at + 1}]", number, authority))
    return found


def numbers_of_appointments(message: Message) -> list[str]:
    """ARQ-2, the filler's, and ARQ-1, the placer's."""
    return [number for arq in message.named("ARQ")[:1] for at in (2, 1) if (number := arq.value(at).strip())]


def resources_of(message: Message) -> Iterator[Named]:
    """Whom and what the query asks about."""
    for segment, kind in (("AIP", "person"), ("AIL", "place"), ("AIG", "equipment")):
        for each in message.named(segment)[:MAX_SUBJECTS]:
            if raw := next(iter(each.repetitions(3)), ""):
                yield Named(kind, raw)


def time_asked(message: Message) -> tuple[str, str, str]:
    """From when to when, as written, and where that stands: QRF-2 and QRF-3, else ARQ-11 (DR)."""
    for qrf in message.named("QRF")[:1]:
        if qrf.value(2).strip() or qrf.value(3).strip():
            return qrf.value(2).strip(), qrf.value(3).strip(), "QRF-2"
    for arq in message.named("ARQ")[:1]:
        return arq.value(11).strip(), arq.value(11, comp=2).strip(), "ARQ-11"
    return "", "", "QRF-2"


def limit(qrd: Segment) -> int:
    """QRD-7, in records."""
    stated = qrd.value(7).strip()
    if not stated:
        return MAX_ANSWERED
    if qrd.value(7, comp=2).strip().upper() not in ("", "RD"):
        raise QueryError("only a number of records (RD) can limit a response", location="QRD-7.2")
    if not stated.isascii() or not stated.isdecimal() or not 0 < int(stated[:9]) <= 999_999_999:
        raise QueryError("expected a number of records", location="QRD-7.1")
    return min(int(stated[:9]), MAX_ANSWERED)
