"""What does a corrected payload become? An envelope of its own, for the place of the one that it stands for."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from engine.clock import CHINA
from engine.codecs import acknowledgment, hl7v2
from engine.config import Community, Hl7Channel
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import ParseError, RequestStateError
from engine.lanes import lanes_of, storable
from engine.store.held import Held
from engine.store.journal import Entry

_ACKNOWLEDGMENT_ID = 20
"""MSH-10 is at most 20 characters long before v2.7."""


def corrected(held: Held, payload: bytes, by: str, community: Community, ids: EnvelopeIds, at: datetime) -> Entry:
    """The journal entry of a correction: by the channel and for the facility of the envelope that is held.

    Nobody is answered with its acknowledgment now; whoever sends the same message later is. Raises ParseError
    `not-a-message` for what has no header that can be read, RequestStateError for what is no HL7 v2 message.
    """
    if held.kind != Kind.HL7V2:
        raise RequestStateError("only an HL7 v2 message can be corrected", code="not-correctable")
    channel = community.channels.get(held.channel)
    charset = channel.charset if isinstance(channel, Hl7Channel) else None
    try:
        header = hl7v2.peek(payload, charset, held.channel)
    except ParseError as error:
        raise ParseError(
            f"the correction is no HL7 v2 message: {error.message}. Nothing was changed",
            location=error.location,
            code="not-a-message",
        ) from error
    envelope_id = ids.next(at)
    envelope = Envelope(
        id=envelope_id,
        kind=Kind.HL7V2,
        channel=held.channel,
        facility=held.facility,
        peer=f"user:{by}",
        received_at=at,
        control_id=storable(header.control_id),
        message_type=storable(header.message_type),
        payload=payload,
        sha256=sha256(payload).digest(),
        lanes=lanes_of(header, held.facility, held.channel),
    )
    answer = acknowledgment.positive(header, envelope_id.hex[:_ACKNOWLEDGMENT_ID], at.astimezone(CHINA))
    return Entry(envelope, answer, header.control_key, header.content_key)
