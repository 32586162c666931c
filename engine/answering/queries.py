"""Who is this person, and by which numbers is he known elsewhere? QBP^Q21, Q22 (PDQ) and Q23 (PIX) → RSP, at once.

A query is no record: it is not journaled. Who asked and which persons were told is audited before the answer leaves.
The community shares identities, so every facility's identifiers are told to every channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from engine.answering import criteria as asked
from engine.answering import query_response
from engine.answering.criteria import QueryError
from engine.answering.domain import read_authority, systems_of
from engine.answering.query_response import Response
from engine.clock import CHINA
from engine.codecs import acknowledgment, hl7v2
from engine.codecs.er7 import Message, Segment
from engine.codecs.er7_header import Header
from engine.config import Community, Hl7Channel
from engine.errors import HutongError, ParseError
from engine.lanes import storable
from engine.store import audit, demographics
from engine.store.database import FAILED, Connection, Pool, connect_pool
from engine.store.demographics import Known
from engine.store.tokens import of_system_and_value, of_value

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Queries that the database is asked at the same time; intake has a connection of its own."""
QUERY_SECS = 20.0
DEFAULT_PERSONS = 500
MAX_PERSONS = 1000
"""Of one response; what is more is told with a continuation pointer."""
_READ_AT_ONCE = 200
_MAX_SCANNED = 5000
"""Persons read for one response: a filter that nobody passes must not read the whole county at once."""

_QUERIES = frozenset({"QBP", "QCN", "QSB", "QVR", "QRY"})
_KINDS = {"Q21": ("RSP", "K21", "RSP_K21"), "Q22": ("RSP", "K22", "RSP_K21"), "Q23": ("RSP", "K23", "RSP_K23")}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query as it was understood, and what is known around it."""

    header: Header
    message: Message
    qpd: Segment
    facilities: frozenset[str]

    @property
    def kind(self) -> tuple[str, str, str]:
        return _KINDS[self.header.component(9, 2)]

    def response(
        self, people: Sequence[str] = (), *, errors: Sequence[QueryError] = (), more: str = "", total: int | None = None
    ) -> Response:
        qpd = self.qpd
        return Response(self.kind, qpd.text, qpd.field(2), qpd.field(1), people, errors, more, total)


_Answer = tuple[Response, list[str]]
"""A response, and the golden ids of whom it tells."""


class PatientQueries:
    """Implements `Queries` over the record store."""

    def __init__(self, database_url: str, community: Community) -> None:
        self._database_url = database_url
        self._community = community
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
            found = self._understood(channel, payload, header)
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
        return query_response.write(response, header, control_id, local)

    def _understood(self, channel: str, payload: bytes, header: Header) -> _Asked | None:
        """The query; None when it cancels one. Raises ParseError for what is none of ours."""
        if header.component(9) == "QCN":
            return None
        if header.component(9) != "QBP" or header.component(9, 2) not in _KINDS:
            raise ParseError("this query is not supported", location="MSH-9.2", code="unsupported-query")
        configured = self._community.channels.get(channel)
        charset = configured.charset if isinstance(configured, Hl7Channel) else None
        message = hl7v2.parse(payload, charset)
        qpd = next(iter(message.named("QPD")), None)
        if qpd is None:
            raise ParseError("a query needs QPD", location="QPD-1", code="required-missing")
        return _Asked(header, message, qpd, frozenset(self._community.facilities))

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
        subjects = [f"Patient/{golden}" for golden in told] or [f"Query/{control_id}"]
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


# ── find candidates (PDQ) ───────────────────────────────────────────────────────────────────────────────────────────


async def _candidates(connection: Connection, query: _Asked) -> _Answer:
    """QBP^Q22: whoever matches QPD-3, a page of RCP-2 at a time."""
    criteria = asked.read(query.qpd)
    tokens = asked.tokens(criteria)
    systems = await _wanted_systems(connection, query, 8)
    limit = _limit(query.message)
    begun = _pointer(query)
    after, found, scanned, exhausted = begun, [], 0, False
    people: list[tuple[str, str]] = []
    while len(people) <= limit and scanned < _MAX_SCANNED and not exhausted:
        found = await demographics.candidates(connection, tokens, after, _READ_AT_ONCE)
        exhausted = len(found) < _READ_AT_ONCE
        scanned += len(found)
        for person in await demographics.persons(connection, found):
            if any(asked.matches(source, criteria) for source in person.sources):
                pid = query_response.person(len(people) + 1, person.sources, systems, query.header.separators)
                if pid is not None:
                    people.append((person.golden, pid))
        after = found[-1] if found else after
    shown = people[:limit]
    whole = exhausted and len(people) <= limit
    last = shown[-1][0] if len(people) > limit else after
    response = query.response(
        [pid for _, pid in shown],
        more="" if whole else f"{_digest(query)}.{last}",
        total=len(shown) if whole and not begun else None,
    )
    return response, [golden for golden, _ in shown]


def _limit(message: Message) -> int:
    """RCP-2, in records."""
    rcp = next(iter(message.named("RCP")), None)
    stated = rcp.value(2).strip() if rcp is not None else ""
    if not stated:
        return DEFAULT_PERSONS
    assert rcp is not None
    if rcp.value(2, comp=2).strip().upper() not in ("", "RD"):
        raise QueryError("only a number of records (RD) can limit a response", location="RCP-2.2")
    if not stated.isascii() or not stated.isdecimal() or not 0 < int(stated[:9]) <= 999_999_999:
        raise QueryError("expected a number of records", location="RCP-2.1")
    return min(int(stated[:9]), MAX_PERSONS)


def _pointer(query: _Asked) -> str:
    """The person after whom a continued query goes on; empty for a first one."""
    dsc = next(iter(query.message.named("DSC")), None)
    stated = (dsc.value(1).strip() if dsc is not None else "") or query.header.field(14).strip()
    if not stated:
        return ""
    digest, _, after = stated.partition(".")
    if digest != _digest(query) or not after or len(after) > 64:
        raise QueryError("this continuation pointer belongs to another query", location="DSC-1")
    return after


def _digest(query: _Asked) -> str:
    """Tells a continuation of this query from one of another."""
    content = "\0".join((query.qpd.field(3), query.qpd.field(8)))
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


# ── one person (get demographics, PIX) ──────────────────────────────────────────────────────────────────────────────


async def _demographics(connection: Connection, query: _Asked) -> _Answer:
    """QBP^Q21: the person of one identifier."""
    known, _ = await _person_of(connection, query)
    systems = await _wanted_systems(connection, query, 4)
    pid = query_response.person(1, known.sources, systems, query.header.separators)
    return query.response([pid] if pid else [], total=1 if pid else 0), [known.golden] if pid else []


async def _cross_references(connection: Connection, query: _Asked) -> _Answer:
    """QBP^Q23: the other identifiers of the person of one identifier, and no demographics."""
    known, own = await _person_of(connection, query)
    systems = await _wanted_systems(connection, query, 4)
    separators = query.header.separators
    numbers = query_response.identifiers(known.sources, systems, separators, leaving_out=own)
    if not numbers:
        return query.response(total=0), []
    # PID-5 has to be there and may tell no name: an empty one, and a second that is marked as a stand-in (S).
    anonymous = (separators.repetition or "") + (separators.component or "") * 6 + "S"
    return query.response([query_response.pid({3: numbers, 5: anonymous}, separators)], total=1), [known.golden]


async def _person_of(connection: Connection, query: _Asked) -> tuple[Known, tuple[str, str]]:
    """The person of QPD-3 (CX), and that identifier. Raises QueryError for an unknown domain or identifier."""
    raw = next(iter(query.qpd.repetitions(3)), "")
    parts = query.qpd.components(raw)
    value = query.qpd.unescape(parts[0]).strip() if parts else ""
    if not value:
        raise QueryError("an identifier is asked for", location="QPD-3[1].1", code="required-missing")
    wanted = read_authority(_authority(query.qpd, raw))
    systems: list[str] = []
    if wanted:
        systems = systems_of(wanted, await demographics.known_systems(connection), query.facilities)
        if not systems:
            raise QueryError("this domain is not known", location="QPD-3[1].4", code="unknown-key")
    for system in systems or [""]:
        token = of_system_and_value("identifier", system, value) if system else of_value("identifier", value)
        goldens = await demographics.candidates(connection, [token], "", 2)
        if len(goldens) > 1:
            raise QueryError("several persons have this identifier: name its domain", location="QPD-3[1].4")
        for known in await demographics.persons(connection, goldens):
            return known, (system or _system_of(known, value), value)
    raise QueryError("this identifier is not known", location="QPD-3[1].1", code="unknown-key")


def _system_of(known: Known, value: str) -> str:
    return next(
        (
            str(identifier.get("system", ""))
            for source in known.sources
            for identifier in source.get("identifier", ())
            if identifier.get("value") == value
        ),
        "",
    )


async def _wanted_systems(connection: Connection, query: _Asked, field: int) -> list[str] | None:
    """The domains to tell of; None for all. Raises QueryError, one for each domain that is not known."""
    repetitions = query.qpd.repetitions(field)
    known: set[str] = set()
    systems: list[str] = []
    errors: list[QueryError] = []
    for position, raw in enumerate(repetitions):
        wanted = read_authority(_authority(query.qpd, raw))
        if not wanted:
            continue
        known = known or await demographics.known_systems(connection)
        found = systems_of(wanted, known, query.facilities)
        systems += found
        if not found:
            place = f"QPD-{field}[{position + 1}]"
            errors.append(QueryError("this domain is not known", location=place, code="unknown-key"))
    if errors:
        errors[0].others = tuple(errors[1:])
        raise errors[0]
    return systems or None


def _authority(qpd: Segment, raw: str) -> list[str]:
    """The parts of CX-4."""
    parts = qpd.components(raw)
    return [qpd.unescape(part) for part in qpd.subcomponents(parts[3])] if len(parts) > 3 else []


_ANSWERS: dict[str, Callable[[Connection, _Asked], Awaitable[_Answer]]] = {
    "K21": _demographics,
    "K22": _candidates,
    "K23": _cross_references,
}
