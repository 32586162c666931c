"""What is journaled of a payload, and which answer may leave once it is? Envelope, keys and acknowledgment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b, sha256
from typing import NamedTuple
from uuid import UUID

from engine.clock import CHINA
from engine.codecs import acknowledgment, er7_batch
from engine.codecs.acknowledgment import Level
from engine.codecs.er7_batch import Batch
from engine.codecs.er7_header import Header
from engine.config import Acknowledge, Hl7Channel
from engine.envelope import Envelope, Kind
from engine.errors import ParseError
from engine.identifiers import lane
from engine.lanes import lanes_of, storable
from engine.store.journal import Entry

LIMIT_CONTROL_ID = 20
"""MSH-10 is at most 20 characters long before v2.7."""
ORDERS = frozenset({"ORM^O01", "OML^O21", "OMG^O19", "OMI^O23"})
"""Messages that a channel may want answered with an order response."""
BATCH = "batch"


class Arrival(NamedTuple):
    """A payload on its way in: whose it is, when it came, and the id it gets."""

    channel: Hl7Channel
    peer: str
    payload: bytes
    id: UUID
    at: datetime

    @property
    def acknowledgment_id(self) -> str:
        return self.id.hex[:LIMIT_CONTROL_ID]

    @property
    def answered_at(self) -> datetime:
        """Chinese time: a HIS that overlooks the zone must not be eight hours wrong."""
        return self.at.astimezone(CHINA)

    def envelope(
        self, kind: Kind, control_id: str, message_type: str, digest: bytes, lanes: tuple[str, ...]
    ) -> Envelope:
        return Envelope(
            id=self.id,
            kind=kind,
            channel=self.channel.name,
            facility=self.channel.facility,
            peer=self.peer,
            received_at=self.at,
            control_id=control_id,
            message_type=message_type,
            payload=self.payload,
            sha256=digest,
            lanes=lanes,
        )


def of_message(arrival: Arrival, header: Header, *, expected: int | None = None) -> Entry:
    """A message. Its acknowledgment is empty when the sender is to wait until it is processed.

    `expected` is MSA-4, for a sender that numbers its messages.
    """
    channel = arrival.channel
    message_type = header.message_type
    level = Level.APPLICATION
    if acknowledgment.is_enhanced(header):
        elsewhere = channel.application_ack_to is not None
        level = acknowledgment.level_now(header, positive=True, elsewhere=elsewhere)
        on_error = acknowledgment.level_now(header, positive=False, elsewhere=elsewhere)
        waits = Level.APPLICATION in (level, on_error)
        level = Level.ACCEPT if level is Level.NONE else level
    else:
        waits = True
    if waits and (
        channel.acknowledge is Acknowledge.WHEN_PROCESSED or (channel.order_responses and message_type in ORDERS)
    ):
        answer = b""
    else:
        answer = acknowledgment.positive(
            header, arrival.acknowledgment_id, arrival.answered_at, level=level, expected=expected
        )
    # By position: this is done for every message there is.
    envelope = Envelope(
        arrival.id,
        Kind.HL7V2,
        channel.name,
        channel.facility,
        arrival.peer,
        arrival.at,
        storable(header.control_id),
        storable(message_type),
        arrival.payload,
        sha256(arrival.payload).digest(),
        lanes_of(header, channel.facility, channel.name),
    )
    return Entry(envelope, answer, header.control_key, header.content_key)


def of_unreadable(arrival: Arrival, error: ParseError, kind: Kind = Kind.HL7V2) -> Entry:
    """A payload that is no message or a batch that is not whole: refused with AR, and kept for a person to look at."""
    answer = acknowledgment.negative(
        None, error, ack_control_id=arrival.acknowledgment_id, at=arrival.answered_at, code="AR"
    )
    channel, digest = arrival.channel, sha256(arrival.payload).digest()
    message_type = BATCH if kind is Kind.HL7V2_BATCH else ""
    envelope = arrival.envelope(kind, "", message_type, digest, lanes_of(None, channel.facility, channel.name))
    control_key = blake2b(channel.name.encode() + digest, digest_size=16).digest()
    return Entry(envelope, answer, control_key, digest[:16])


def of_batch(arrival: Arrival, batch: Batch) -> Entry:
    """A batch whose messages are journaled: it waits for nobody, and nobody waits for it."""
    channel, digest = arrival.channel, sha256(arrival.payload).digest()
    emptied = Batch(batch.file, tuple((header, 0) for header, _ in batch.batches), ())
    control_id = storable(batch.control_id)
    lanes = (lane(channel.facility, f"batch {arrival.id}"),)
    envelope = arrival.envelope(Kind.HL7V2_BATCH, control_id, BATCH, digest, lanes)
    control_key = blake2b(f"{channel.name}\0{BATCH}\0{control_id}".encode(), digest_size=16).digest()
    return Entry(envelope, batch_answer(arrival, emptied, ()), control_key, digest[:16])


def batch_answer(arrival: Arrival, batch: Batch, answers: Sequence[bytes]) -> bytes:
    created = arrival.answered_at.strftime("%Y%m%d%H%M%S%z")
    return er7_batch.answer(batch, answers, control_id=arrival.acknowledgment_id, created=created)


def of_gateway(envelope: Envelope, word: str, uid: str) -> Entry:
    """What the gateway says of a study or a step, its word. These tell new content from old themselves, so each
    statement has a content key of its own."""
    control_key = blake2b(f"{envelope.channel}\0{envelope.facility}\0{uid}".encode(), digest_size=16).digest()
    return Entry(envelope, json.dumps({word: uid}).encode(), control_key, envelope.id.bytes)
