"""What must be true of the walk, whatever the bytes are? Nothing crashes, and what is answered can be stored."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from hashlib import sha256

from engine.codecs import acknowledgment, er7_batch, fhir_json, hl7v2, text
from engine.codecs.mllp import MllpDecoder, frame
from engine.config import Community
from engine.envelope import Envelope, EnvelopeIds, Kind
from engine.errors import FramingError, ParseError
from engine.mapping import MappingSet
from engine.understanding import understand

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
_IDS = EnvelopeIds(random.Random(1).getrandbits)


def walk_holds(data: bytes, community: Community, mappings: MappingSet) -> None:
    """Raises AssertionError, or whatever the code under test wrongly lets out."""
    _frames(data)
    _texts(data)
    _header(data)
    _message(data)
    _batch(data)
    _understood(data, community, mappings)


def _frames(data: bytes) -> None:
    """The same frames, or the same refusal, whole and byte by byte; and what is framed comes out as it went in."""
    assert _decoded([data]) == _decoded([data[place : place + 1] for place in range(len(data))])
    if b"\x0b" not in data and b"\x1c" not in data:
        decoder = MllpDecoder(1 << 20)
        decoder.receive_data(frame(data))
        assert decoder.next_frame() == data


def _decoded(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    decoder, frames = MllpDecoder(4096), []
    try:
        for chunk in chunks:
            decoder.receive_data(chunk)
            while (payload := decoder.next_frame()) is not None:
                frames.append(payload)
    except FramingError:
        return frames, True
    return frames, False


def _texts(data: bytes) -> None:
    for label in ("", "GB 18030-2000", "UNICODE UTF-8", "8859/1", "ASCII", "no such charset"):
        assert "\0" not in text.decode(data, label, None).text


def _header(data: bytes) -> None:
    try:
        header = hl7v2.peek(data, "utf-8", "his")
    except ParseError as error:
        answer = acknowledgment.negative(None, error, ack_control_id="1", at=AT, code="AR")
    else:
        answer = acknowledgment.positive(header, "1", AT)
    assert b"\x0b" not in answer
    assert b"\x1c" not in answer
    assert [segment.name for segment in hl7v2.parse(answer).segments][:2] == ["MSH", "MSA"]


def _message(data: bytes) -> None:
    try:
        message = hl7v2.parse(data, None)
    except ParseError:
        return
    for segment in message.segments[:50]:
        segment.value(3)
        segment.repetitions(3)


def _batch(data: bytes) -> None:
    """Every message of a batch is in it, in its order."""
    try:
        batch = er7_batch.split(data)
    except ParseError:
        return
    place = 0
    for message in batch.messages:
        place = data.index(message, place) + len(message)


def _understood(data: bytes, community: Community, mappings: MappingSet) -> None:
    envelope = Envelope(
        id=_IDS.next(AT),
        kind=Kind.HL7V2,
        channel="baishi-his",
        facility="baishi",
        peer="10.0.0.1:40000",
        received_at=AT,
        control_id="",
        message_type="",
        payload=data,
        sha256=sha256(data).digest(),
        lanes=(),
    )
    understood = understand(envelope, community, mappings)
    traced = understand(envelope, community, mappings, with_sources=True)
    assert understood.resources == traced.resources
    assert understood.unmapped == traced.unmapped
    for resource in understood.resources:
        assert b"\\u0000" not in fhir_json.dumps(resource)
