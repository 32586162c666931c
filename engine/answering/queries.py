"""Who is this person, and by which numbers is he known elsewhere? QBP^Q21, Q22 (PDQ) and Q23 (PIX) → RSP, at once.

Systems before version 2.7 ask the same with QRY^A19 (→ ADR^A19), and for what is booked with SQM^S25 (→ SQR^S25).

A query is no record: it is not journaled. Who asked and which persons were told is audited before the answer leaves.
The community shares identities, so every facility's identifiers are told to every channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import blake2b

from engine.answering import criteria as asked
from engine.answering import original_mode, query_response
from engine.answering.criteria import Patient, QueryError
from engine.answering.domain import read_authority, systems_of
from engine.answering.original_mode import Subject
from engine.answering.query_response import Response
from engine.answering.schedules import Schedules
from engine.clock import CHINA
from engine.codecs import acknowledgment, hl7v2
from engine.codecs.er7 import Message, Segment
from engine.codecs.er7_header import USUAL, Header
from engine.config import Community, Hl7Channel
from engine.errors import HutongError, ParseError
from engine.lanes import storable
from engine.mapping import MappingSet
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

_USUAL_VERSION = "2.5"
_QUERIES = frozenset({"QBP", "QCN", "QSB", "QVR", "QRY", "SQM"})
_KINDS = {
    ("QBP", "Q21"): ("RSP", "K21", "RSP_K21"),
    ("QBP", "Q22"): ("RSP", "K22", "RSP_K21"),
    ("QBP", "Q23"): ("RSP", "K23", "RSP_K23"),
    ("QRY", "A19"): ("ADR", "A19", "ADR_A19"),
    ("SQM", "S25"): ("SQR", "S25", "SQR_S25"),
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query as it was understood, and what is known around it.

    qpd  what it asks: QPD, in original mode QRD
    """

    header: Header
    message: Message
    qpd: Segment
    facilities: frozenset[str]
    facility: str
    at: datetime
    mappings: Callable[[], MappingSet]

    @property
    def kind(self) -> tuple[str, str, str]:
        return _KINDS[self.header.component(9), self.header.component(9, 2)]

    def response(
        self, people: Sequence[str] = (), *, errors: Sequence[QueryError] = (), more: str = "", total: int | None = None
    ) -> Response:
        qpd = self.qpd
        if self.kind[0] == "RSP":
            return Response(self.kind, qpd.text, qpd.field(2), qpd.field(1), people, errors, more, total)
        filters = [each.text for each in self.message.named("QRF")[:1]]
        said = "\r".join([qpd.text, *filters]) if self.kind[0] == "ADR" else ""
        return Response(self.kind, said, qpd.field(4), "", people, errors, more, total)


_Answer = tuple[Response, list[str]]
"""A response, and references to whom and what it tells of: golden Patients, appointments."""


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

    def _understood(self, channel: str, facility: str, payload: bytes, header: Header, at: datetime) -> _Asked | None:
        """The query; None when it cancels one. Raises ParseError for what is none of ours."""
        if header.component(9) == "QCN":
            return None
        if (header.component(9), header.component(9, 2)) not in _KINDS:
            raise ParseError("this query is not supported", location="MSH-9.2", code="unsupported-query")
        configured = self._community.channels.get(channel)
        charset = configured.charset if isinstance(configured, Hl7Channel) else None
        message = hl7v2.parse(payload, charset)
        name = "QPD" if header.component(9) == "QBP" else "QRD"
        asked_in = next(iter(message.named(name)), None)
        if asked_in is None:
            raise ParseError(f"a query needs {name}", location=f"{name}-1", code="required-missing")
        known = frozenset(self._community.facilities)
        return _Asked(header, message, asked_in, known, facility, at, self._mappings)

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
    return response, [f"Patient/{golden}" for golden, _ in shown]


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
    told = [f"Patient/{known.golden}"] if pid else []
    return query.response([pid] if pid else [], total=1 if pid else 0), told


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
    told = [f"Patient/{known.golden}"]
    return query.response([query_response.pid({3: numbers, 5: anonymous}, separators)], total=1), told


async def _person_of(connection: Connection, query: _Asked) -> tuple[Known, tuple[str, str]]:
    """The person of QPD-3 (CX), and that identifier. Raises QueryError for an unknown domain or identifier."""
    raw = next(iter(query.qpd.repetitions(3)), "")
    parts = query.qpd.components(raw)
    value = query.qpd.unescape(parts[0]).strip() if parts else ""
    if not value:
        raise QueryError("an identifier is asked for", location="QPD-3[1].1", code="required-missing")
    return await _person_known_as(connection, query, value, _authority(query.qpd, raw), ("QPD-3[1].1", "QPD-3[1].4"))


async def _person_known_as(
    connection: Connection, query: _Asked, value: str, authority: Sequence[str], places: tuple[str, str]
) -> tuple[Known, tuple[str, str]]:
    """The person of a number, and that identifier; `places` are those of the number and of its domain."""
    wanted = read_authority(authority)
    systems: list[str] = []
    if wanted:
        systems = systems_of(wanted, await demographics.known_systems(connection), query.facilities)
        if not systems:
            raise QueryError("this domain is not known", location=places[1], code="unknown-key")
    for system in systems or [""]:
        token = of_system_and_value("identifier", system, value) if system else of_value("identifier", value)
        goldens = await demographics.candidates(connection, [token], "", 2)
        if len(goldens) > 1:
            raise QueryError("several persons have this identifier: name its domain", location=places[1])
        for known in await demographics.persons(connection, goldens):
            return known, (system or _system_of(known, value), value)
    raise QueryError("this identifier is not known", location=places[0], code="unknown-key")


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


# ── original mode ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _patients(connection: Connection, query: _Asked) -> _Answer:
    """QRY^A19: whoever QRD-8 names, by number or by name."""
    limit = original_mode.limit(query.qpd)
    wanted = original_mode.subjects(query.qpd)
    if not wanted:
        raise QueryError("nobody is asked for", location="QRD-8", code="required-missing")
    found = await _persons_named(connection, query, wanted, (1, 9))
    mark = query.header.separators.field
    people: list[tuple[str, str]] = []
    for known in found:
        pid = query_response.person(len(people) + 1, known.sources, None, query.header.separators)
        if pid is not None:
            # PV1 has to be there and tells of no visit: class N, not applicable.
            people.append((f"Patient/{known.golden}", f"{pid}\r" + mark.join(("PV1", "1", "N"))))
    shown = people[:limit]
    return query.response([text for _, text in shown], total=len(people)), [reference for reference, _ in shown]


async def _persons_named(
    connection: Connection, query: _Asked, wanted: Sequence[Subject], components: tuple[int, int]
) -> list[Known]:
    """The persons of these, each once; `components` hold the number and its domain.

    Raises QueryError for a number that nobody or more than one has, and for a name that too many have.
    """
    found: dict[str, Known] = {}
    for each in wanted:
        places = f"{each.place}.{components[0]}", f"{each.place}.{components[1]}"
        if each.number:
            known, _ = await _person_known_as(connection, query, each.number, each.authority, places)
            found[known.golden] = known
            continue
        goldens = await demographics.candidates(connection, asked.tokens(each.name), "", _READ_AT_ONCE)
        if len(goldens) == _READ_AT_ONCE:
            raise QueryError("asked too broadly: give a number", location=each.place)
        for known in await demographics.persons(connection, goldens):
            if any(asked.matches(source, each.name) for source in known.sources):
                found[known.golden] = known
    return list(found.values())


async def _schedules(connection: Connection, query: _Asked) -> _Answer:
    """SQM^S25: appointments by patient, number, who or what is booked; and the times at which those are blocked."""
    limit = original_mode.limit(query.qpd)
    in_qrd, in_pid = original_mode.subjects(query.qpd), original_mode.patients_of(query.message)
    patients: list[Sequence[Patient]] | None = None
    if in_qrd or in_pid:
        persons = [
            *await _persons_named(connection, query, in_qrd, (1, 9)),
            *await _persons_named(connection, query, in_pid, (1, 4)),
        ]
        patients = [known.sources for known in persons]
    mappings = await asyncio.to_thread(query.mappings)
    schedules = Schedules(mappings, query.facility, query.header.version or _USUAL_VERSION, query.at)
    found = await schedules.found(connection, query.message, patients)
    shown = found[:limit]
    return query.response([group for _, group in shown], total=len(found)), [reference for reference, _ in shown]


_ANSWERS: dict[str, Callable[[Connection, _Asked], Awaitable[_Answer]]] = {
    "A19": _patients,
    "S25": _schedules,
    "K21": _demographics,
    "K22": _candidates,
    "K23": _cross_references,
}
