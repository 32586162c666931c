"""Which persons does a query find, and what is told of them? PDQ and PIX: QBP^Q21, Q22 and Q23."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from engine.answering import criteria as asked
from engine.answering import query_response
from engine.answering.criteria import QueryError
from engine.answering.domain import read_authority, systems_of
from engine.answering.query import Answer, Query
from engine.codecs.er7 import Message, Segment
from engine.store import demographics
from engine.store.database import Connection
from engine.store.demographics import Known
from engine.store.tokens import of_system_and_value, of_value

DEFAULT_PERSONS = 500
MAX_PERSONS = 1000
"""Of one response; what is more is told with a continuation pointer."""
READ_AT_ONCE = 200
_MAX_SCANNED = 5000
"""Persons read for one response: a filter that nobody passes must not read the whole county at once."""


# ── find candidates (PDQ) ───────────────────────────────────────────────────────────────────────────────────────────


async def find_candidates(connection: Connection, query: Query) -> Answer:
    """QBP^Q22: whoever matches QPD-3, a page of RCP-2 at a time."""
    criteria = asked.read(query.qpd)
    tokens = asked.tokens(criteria)
    systems = await _wanted_systems(connection, query, 8)
    limit = _limit(query.message)
    begun = _pointer(query)
    after, found, scanned, exhausted = begun, [], 0, False
    people: list[tuple[str, str]] = []
    while len(people) <= limit and scanned < _MAX_SCANNED and not exhausted:
        found = await demographics.candidates(connection, tokens, after, READ_AT_ONCE)
        exhausted = len(found) < READ_AT_ONCE
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


def _pointer(query: Query) -> str:
    """The person after whom a continued query goes on; empty for a first one."""
    dsc = next(iter(query.message.named("DSC")), None)
    stated = (dsc.value(1).strip() if dsc is not None else "") or query.header.field(14).strip()
    if not stated:
        return ""
    digest, _, after = stated.partition(".")
    if digest != _digest(query) or not after or len(after) > 64:
        raise QueryError("this continuation pointer belongs to another query", location="DSC-1")
    return after


def _digest(query: Query) -> str:
    """Tells a continuation of this query from one of another."""
    content = "\0".join((query.qpd.field(3), query.qpd.field(8)))
    return blake2b(content.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


# ── one person (get demographics, PIX) ──────────────────────────────────────────────────────────────────────────────


async def get_demographics(connection: Connection, query: Query) -> Answer:
    """QBP^Q21: the person of one identifier."""
    known, _ = await _person_of(connection, query)
    systems = await _wanted_systems(connection, query, 4)
    pid = query_response.person(1, known.sources, systems, query.header.separators)
    told = [f"Patient/{known.golden}"] if pid else []
    return query.response([pid] if pid else [], total=1 if pid else 0), told


async def cross_references(connection: Connection, query: Query) -> Answer:
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


async def _person_of(connection: Connection, query: Query) -> tuple[Known, tuple[str, str]]:
    """The person of QPD-3 (CX), and that identifier. Raises QueryError for an unknown domain or identifier."""
    raw = next(iter(query.qpd.repetitions(3)), "")
    parts = query.qpd.components(raw)
    value = query.qpd.unescape(parts[0]).strip() if parts else ""
    if not value:
        raise QueryError("an identifier is asked for", location="QPD-3[1].1", code="required-missing")
    return await person_known_as(connection, query, value, _authority(query.qpd, raw), ("QPD-3[1].1", "QPD-3[1].4"))


async def person_known_as(
    connection: Connection, query: Query, value: str, authority: Sequence[str], places: tuple[str, str]
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


async def _wanted_systems(connection: Connection, query: Query, field: int) -> list[str] | None:
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
