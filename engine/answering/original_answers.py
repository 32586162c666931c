"""What do QRY^A19 and SQM^S25 find? Queries of original mode (before version 2.7), each answered whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.answering import criteria as asked
from engine.answering import original_mode, query_response
from engine.answering.criteria import Patient, QueryError
from engine.answering.original_mode import Subject
from engine.answering.persons import READ_AT_ONCE, person_known_as
from engine.answering.query import Answer, Query
from engine.answering.schedules import Schedules
from engine.store import demographics
from engine.store.database import Connection
from engine.store.demographics import Known

_USUAL_VERSION = "2.5"


async def patients(connection: Connection, query: Query) -> Answer:
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
    connection: Connection, query: Query, wanted: Sequence[Subject], components: tuple[int, int]
) -> list[Known]:
    """The persons of these, each once; `components` hold the number and its domain.

    Raises QueryError for a number that nobody or more than one has, and for a name that too many have.
    """
    found: dict[str, Known] = {}
    for each in wanted:
        places = f"{each.place}.{components[0]}", f"{each.place}.{components[1]}"
        if each.number:
            known, _ = await person_known_as(connection, query, each.number, each.authority, places)
            found[known.golden] = known
            continue
        goldens = await demographics.candidates(connection, asked.tokens(each.name), "", READ_AT_ONCE)
        if len(goldens) == READ_AT_ONCE:
            raise QueryError("asked too broadly: give a number", location=each.place)
        for known in await demographics.persons(connection, goldens):
            if any(asked.matches(source, each.name) for source in known.sources):
                found[known.golden] = known
    return list(found.values())


async def schedules(connection: Connection, query: Query) -> Answer:
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
    booked = Schedules(mappings, query.facility, query.header.version or _USUAL_VERSION, query.at)
    found = await booked.found(connection, query.message, patients)
    shown = found[:limit]
    return query.response([group for _, group in shown], total=len(found)), [reference for reference, _ in shown]
