"""What is an envelope? A payload exactly as received, and how it came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID


class Kind(StrEnum):
    """What the payload of an envelope is."""

    HL7V2 = "hl7v2"
    HL7V2_BATCH = "hl7v2-batch"
    """A batch as it came; each of its messages has an envelope of its own."""
    DICOM_STUDY = "dicom-study"
    """A study manifest that the gateway writes once instances are stored."""
    DICOM_STEP = "dicom-step"
    """What a modality says of a procedure step that it performs (MPPS), as the gateway understood it."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One accepted payload, its bytes untouched.

    id              UUIDv7: sorts by time of arrival, orders the lanes, and picks the journal partition
    peer            `host:port` or AE title of the sender
    control_id      MSH-10, or the UID of the study or step; empty when there is none
    message_type    `ADT^A04`, `ORU^R01`; `study` for a manifest, `step` for a performed step
    sha256          of payload
    lanes           every (facility, identifier) that orders this envelope among others
    """

    id: UUID
    kind: Kind
    channel: str
    facility: str
    peer: str
    received_at: datetime
    control_id: str
    message_type: str
    payload: bytes
    sha256: bytes
    lanes: tuple[str, ...]


_TAIL_BITS = 62
_SEQUENCE_BITS = 12


class EnvelopeIds:
    """Hands out UUIDv7 (RFC 9562 §5.7) that never run backwards within this process.

    The 12 bits after the millisecond are a counter that restarts each millisecond; when it overflows, or the clock
    steps back, the millisecond of the last id is carried on.
    """

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self._random_bits = random_bits
        self._millisecond = 0
        self._sequence = 0

    def next(self, at: datetime) -> UUID:
        millisecond = int(at.timestamp() * 1000)
        if millisecond > self._millisecond:
            self._millisecond, self._sequence = millisecond, 0
        else:
            self._sequence += 1
            if self._sequence >> _SEQUENCE_BITS:
                self._millisecond, self._sequence = self._millisecond + 1, 0
        return UUID(
            int=(self._millisecond << 80)
            | (0x7 << 76)
            | (self._sequence << 64)
            | (0b10 << _TAIL_BITS)
            | self._random_bits(_TAIL_BITS)
        )


def first_id_at(at: datetime) -> UUID:
    """The smallest UUIDv7 of a moment: a bound for searching and partitioning by time."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def arrived_at(envelope_id: UUID) -> datetime:
    """The millisecond an id was made at."""
    return datetime.fromtimestamp((envelope_id.int >> 80) / 1000, UTC)
