"""Who is this person, and by which numbers is he known elsewhere? QBP^Q21, Q22 (PDQ) and Q23 (PIX) → RSP, at once.

Systems before version 2.7 ask the same with QRY^A19 (→ ADR^A19), and for what is booked with SQM^S25 (→ SQR^S25).

A query is no record: it is not journaled. Who asked and which persons were told is audited before the answer leaves.
The community shares identities, so every facility's identifiers are told to every channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache

from engine.answering import original_answers, persons, query_response
from engine.answering.criteria import QueryError
from engine.answering.query import KINDS, Answering, Query
from engine.clock import CHINA
from engine.codecs import acknowledgment, hl7v2
from engine.codecs.er7_header import USUAL, Header
from engine.config import Community, Hl7Channel
from engine.errors import HutongError, ParseError
from engine.lanes import storable
from engine.mapping import MappingSet
from engine.store import audit
from engine.store.database import FAILED, Connection, Pool, connect_pool

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Queries that the database is asked at the same time; intake has a connection of its own."""
QUERY_SECS = 20.0
_QUERIES = frozenset({"QBP", "QCN", "QSB", "QVR", "QRY", "SQM"})


class PatientQueries:
    """Implements `Queries` over the record store."""

    def __init__(self, database_url: str, community: Community, mappings: Callable[[Community], MappingSet]) -> None:
        self._database_url = database_url
        self._community = community
        self._mappings = cache(lambda: mappings(community))
        self._pool: Pool | None = None
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()

    def takes(self, header: Header) -> bool:
        return header.component(9) in _QUERIES

    async def answer(
        self, *, channel: str, facility: str, peer: str, payload: bytes, header: Header, control_id: str, at: datetime
    ) -> bytes:
        local = at.astimezone(CHINA)
        try:
            found = self._understood(channel, facility, payload, header, local)
            if found is None:  # a query is cancelled: every response was whole, so there is nothing to stop
                return acknowledgment.positive(header, control_id, local)
        except ParseError as error:
            return acknowledgment.negative(header, error, ack_control_id=control_id, at=local, code="AR")
        try:
            async with self._turn, asyncio.timeout(QUERY_SECS):
                pool = await self._connections()
                async with pool.acquire() as connection:
                    response, told = await _ANSWERS[found.kind[1]](connection, found)
                    await self._audit(connection, header, channel, facility, peer, told, at)
        except QueryError as error:
            response = found.response(errors=_all_of(error))
            await self._audit_refusal(header, channel, facility, peer, error, at)
        except (*FAILED, HutongError, TimeoutError) as error:
            logger.error("a query of channel %s could not be answered: %s", channel, type(error).__name__)
            failed = QueryError("the query could not be answered now: try again", code="internal")
            response = found.response(errors=[failed])
        if response.kind[0] == "SQR":
            header = replace(header, separators=USUAL)  # what is booked is written so
        return query_response.write(response, header, control_id, local)

    def _understood(self, channel: str, facility: str, payload: bytes, header: Header, at: datetime) -> Query | None:
        """The query; None when it cancels one. Raises ParseError for what is none of ours."""
        if header.component(9) == "QCN":
            return None
        if (header.component(9), header.component(9, 2)) not in KINDS:
            raise ParseError("this query is not supported", location="MSH-9.2", code="unsupported-query")
        configured = self._community.channels.get(channel)
        charset = configured.charset if isinstance(configured, Hl7Channel) else None
        message = hl7v2.parse(payload, charset)
        name = "QPD" if header.component(9) == "QBP" else "QRD"
        asked_in = next(iter(message.named(name)), None)
        if asked_in is None:
            raise ParseError(f"a query needs {name}", location=f"{name}-1", code="required-missing")
        known = frozenset(self._community.facilities)
        return Query(header, message, asked_in, known, facility, at, self._mappings)

    async def _connections(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await connect_pool(self._database_url, min_size=1, max_size=AT_ONCE)
            return self._pool

    async def _audit(
        self,
        connection: Connection,
        header: Header,
        channel: str,
        facility: str,
        peer: str,
        told: Sequence[str],
        at: datetime,
        refused: str | None = None,
    ) -> None:
        """Committed before the answer leaves. What was asked for is personal and stands in no detail."""
        control_id = storable(header.control_id)
        detail: dict[str, str | int | bool | None] = {
            "query": storable(header.message_type),
            "control_id": control_id,
            "facility": facility,
            "peer": peer,
            "found": len(told),
            "refused": refused,
        }
        actor = f"channel:{channel}"
        subjects = list(told) or [f"Query/{control_id}"]
        await audit.write(connection, [audit.Audited(actor, "query", subject, detail) for subject in subjects], at)

    async def _audit_refusal(
        self, header: Header, channel: str, facility: str, peer: str, error: QueryError, at: datetime
    ) -> None:
        try:
            pool = await self._connections()
            async with asyncio.timeout(QUERY_SECS), pool.acquire() as connection:
                await self._audit(connection, header, channel, facility, peer, (), at, refused=error.code)
        except (*FAILED, HutongError, TimeoutError) as failed:
            # Nobody was told of anybody, so the refusal may leave all the same.
            logger.error("a refused query of channel %s was not audited: %s", channel, type(failed).__name__)


def _all_of(error: QueryError) -> list[QueryError]:
    return [error, *(other for other in error.others)]


_ANSWERS: dict[str, Answering] = {
    "A19": original_answers.patients,
    "S25": original_answers.schedules,
    "K21": persons.get_demographics,
    "K22": persons.find_candidates,
    "K23": persons.cross_references,
}
"""By the trigger event of the response."""
