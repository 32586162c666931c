"""What is a sender told once its message has ended? The answer it waits for, and the one it is owed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.answering import order_response
from engine.clock import CHINA
from engine.codecs import acknowledgment, hl7v2
from engine.codecs.acknowledgment import Level
from engine.codecs.er7_header import Header
from engine.config import Community, Hl7Channel
from engine.entries import LIMIT_CONTROL_ID, ORDERS
from engine.envelope import Envelope, EnvelopeIds
from engine.errors import HutongError, ParseError
from engine.identifiers import resource_id
from engine.store import findings, outbox, records
from engine.store.database import Connection
from engine.store.outbox import Owed

ROUTE = "application-ack"
"""What deliveries of application acknowledgments are called in place of a route."""
_NOT_DONE = frozenset(
    {"order-without-accession", "accession-in-use", "accession-unfit", "patient-id-unfit", "request-state"}
)
"""Findings that say an order was recorded and could not be done as asked."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a message ended: what was written for it (`ServiceRequest/…@1`), or why it is held or refused."""

    envelope: Envelope
    header: Header | None
    resources: Sequence[str] = ()
    error: HutongError | None = None


class Replies:
    """Makes answers in the transaction that ends the message."""

    def __init__(self, community: Community, ids: EnvelopeIds) -> None:
        self._community = community
        self._ids = ids

    async def waited_for(self, connection: Connection, ended: Ended, at: datetime) -> bytes:
        """The answer of a sender that waits on its connection."""
        return await self._made(connection, ended, at, ended.envelope.id.hex[:LIMIT_CONTROL_ID])

    async def owe(self, connection: Connection, ended: Ended, at: datetime) -> None:
        """Owes the application acknowledgment of enhanced mode to the channel's endpoint, where it is wanted."""
        channel, header = self._channel(ended.envelope), ended.header
        if (
            channel is None
            or channel.application_ack_to is None
            or header is None
            or not acknowledgment.wants_application(header, positive=ended.error is None)
        ):
            return
        delivery = self._ids.next(at)
        # The end of the id: the beginning is the time, and two of one millisecond differ only there.
        control_id = delivery.hex[-LIMIT_CONTROL_ID:]
        payload = await self._made(connection, ended, at, control_id, owed=True)
        about = Owed(delivery, channel.application_ack_to, control_id, payload, ROUTE, envelope=ended.envelope.id)
        await outbox.owe(connection, [about], at)

    async def _made(
        self, connection: Connection, ended: Ended, at: datetime, control_id: str, *, owed: bool = False
    ) -> bytes:
        channel, header, error = self._channel(ended.envelope), ended.header, ended.error
        local = at.astimezone(CHINA)
        if header is None:
            unreadable = error or ParseError("the message has no header that can be read")
            return acknowledgment.negative(None, unreadable, ack_control_id=control_id, at=local, code="AE")
        if channel is not None and channel.order_responses and ended.envelope.message_type in ORDERS:
            return await self._order_response(connection, ended, header, channel, local, control_id, owed)
        level = Level.APPLICATION if owed else None
        number = header.field(13).strip()
        expected = int(number) if channel is not None and channel.sequence_numbers and number.isdecimal() else None
        if error is not None:
            return acknowledgment.negative(
                header,
                error,
                ack_control_id=control_id,
                at=local,
                code="AE",
                level=level,
                expected=expected,
                owed=owed,
            )
        return acknowledgment.positive(header, control_id, local, level=level, expected=expected, owed=owed)

    async def _order_response(
        self,
        connection: Connection,
        ended: Ended,
        header: Header,
        channel: Hl7Channel,
        at: datetime,
        control_id: str,
        owed: bool,
    ) -> bytes:
        references = [label.partition("@")[0] for label in ended.resources if label.startswith("ServiceRequest/")]
        stored = await records.read_many(connection, references)
        orders = [stored[reference].body for reference in references if reference in stored]
        return order_response.build(
            header,
            hl7v2.parse(ended.envelope.payload, channel.charset),
            orders,
            error=ended.error,
            unable=await self._not_done(connection, ended.envelope, [order["id"] for order in orders]),
            control_id=control_id,
            at=at,
            owed=owed,
        )

    async def _not_done(self, connection: Connection, envelope: Envelope, orders: Sequence[str]) -> set[str]:
        """Those orders that a finding of this envelope is about, or whose request at a centre it is about."""
        about = await findings.about(connection, envelope.id, _NOT_DONE)
        named = {
            reference: order
            for order in orders
            for reference in (
                f"ServiceRequest/{order}",
                *(f"Task/{resource_id('Task', centre, order)}" for centre in self._community.centres),
            )
        }
        return {named[reference] for reference in about if reference in named}

    def _channel(self, envelope: Envelope) -> Hl7Channel | None:
        channel = self._community.channels.get(envelope.channel)
        return channel if isinstance(channel, Hl7Channel) else None
