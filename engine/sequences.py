"""How is a numbered message taken? Its number is judged and kept in the transaction that journals it (MSH-13).

One message at a time: the protocol is lock-step by itself, because a sender waits for MSA-4 before the next number.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from engine.codecs import acknowledgment
from engine.codecs.er7_header import Header
from engine.codecs.sequence_number import OutOfTurn, Turn, has_content, turn
from engine.entries import LIMIT_CONTROL_ID, Arrival, of_message
from engine.finding import Finding
from engine.lanes import storable
from engine.store import findings, journal, sequences
from engine.store.database import FAILED, Connection, connect_by_index
from engine.store.journal import Entry, Repeated


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message: journaled (or a repeat of what was), with its entry; else the answer to it."""

    answer: bytes
    entry: Entry | None = None
    repeated: Repeated | None = None


class Sequences:
    """Takes the messages of channels whose senders number them."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._told: dict[tuple[str, str], int] = {}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def take(self, arrival: Arrival, header: Header) -> Taken:
        """Judges and journals one message. Raises what the database raises: then nobody may be answered."""
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect_by_index(self._database_url)
            try:
                async with self._connection.transaction():
                    return await self._take(self._connection, arrival, header)
            except FAILED:
                self._connection.terminate()
                raise

    async def _take(self, connection: Connection, arrival: Arrival, header: Header) -> Taken:
        channel = arrival.channel.name
        sender = storable(f"{header.sending_application}|{header.sending_facility}")
        last = await sequences.hold_last(connection, channel, sender)
        judged = turn(last, header.field(13), has_content=has_content(arrival.payload, header.separators.field))
        if judged.taken:
            entry = of_message(arrival, header, expected=judged.expected)
            repeated = await journal.append(connection, [entry])
            await sequences.keep(connection, channel, sender, judged.last)
            self._told.pop((channel, sender), None)
            return Taken(entry.acknowledgment, entry, repeated.get(arrival.id))
        if judged.error is None:
            await sequences.keep(connection, channel, sender, judged.last)
            return Taken(_positive(arrival, header, judged))
        return await self._refused_or_repeat(connection, arrival, header, judged, judged.error, sender)

    async def _refused_or_repeat(
        self, connection: Connection, arrival: Arrival, header: Header, judged: Turn, error: OutOfTurn, sender: str
    ) -> Taken:
        """The acknowledgment of a message that came before was lost: it is told again what comes next."""
        entry = of_message(arrival, header)
        repeats = await journal.repeats_among(connection, [entry])
        if (repeated := repeats.get(arrival.id)) is not None and repeated.acknowledgment:
            id_of_first = repeated.envelope.hex[:LIMIT_CONTROL_ID]
            again = acknowledgment.positive(header, id_of_first, arrival.answered_at, expected=judged.expected)
            return Taken(again)
        await self._tell(connection, arrival, error, judged, sender)
        answer = acknowledgment.negative(
            header,
            error,
            ack_control_id=arrival.acknowledgment_id,
            at=arrival.answered_at,
            code="AE",
            expected=judged.expected,
        )
        return Taken(answer)

    async def _tell(
        self, connection: Connection, arrival: Arrival, error: OutOfTurn, judged: Turn, sender: str
    ) -> None:
        """A person hears of it once for each number that is waited for, not with each attempt."""
        key = (arrival.channel.name, sender)
        if self._told.get(key) == judged.expected:
            return
        self._told[key] = judged.expected
        finding = Finding(error.code, f"A message was refused: {error.message}.", location=error.location)
        raised = findings.Raised(finding, about=f"Channel/{key[0]}", channel=key[0])
        await findings.raise_many(connection, [raised], arrival.at)


def _positive(arrival: Arrival, header: Header, judged: Turn) -> bytes:
    return acknowledgment.positive(header, arrival.acknowledgment_id, arrival.answered_at, expected=judged.expected)
