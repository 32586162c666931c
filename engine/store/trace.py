"""Where does a word lead? From an id, a number or a UID to the envelopes, resources and deliveries it belongs to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from engine.identifiers import is_of_facility, lane
from engine.store import finding_search, reading, trace_lines
from engine.store.database import Connection
from engine.store.finding_list import FindingLine
from engine.store.tokens import of_reference, of_system_and_value, of_value
from engine.store.trace_lines import ResourceLine, StudyLine, VersionLine, WorklistLine

MOST_ENVELOPES = 100
MOST_RESOURCES = 300
MOST_FINDINGS = 100
_LOOKED_AT = 1_000
"""Of one patient's resources. A number that a system gives to everybody is one patient with a million of them: the
newest of all would cost reading each, and the newest envelopes, which the lanes know, tell the same."""
_VERSIONS_LOOKED_AT = 100
"""Of one resource, the newest."""
_BEGINNING = re.compile(r"([0-9a-f]{8,31})(?:…|\.\.\.)?")
"""Of an envelope's id, its dashes left out: not shorter, so that a patient's number is hardly ever taken for one."""
MOST_BEGINNING_SO = 10
_VERSION = re.compile(r"([A-Z][A-Za-z]{1,63}/[A-Za-z0-9.\-]{1,64})@([1-9][0-9]{0,8})")


@dataclass(slots=True)
class Leads:
    """Everything found.

    why_envelope, why_resource  the reasons each one is here
    deliveries                  those that the word names itself
    findings                    those whose words the word is
    version                     the one version that the word names, `Observation/…@2`
    beginning_so                more than one envelope whose id begins with the word: the first few
    more                        bounds cut the answer off: the newest are here
    """

    why_envelope: dict[UUID, list[str]] = field(default_factory=dict)
    why_resource: dict[str, list[str]] = field(default_factory=dict)
    resources: list[ResourceLine] = field(default_factory=list)
    deliveries: list[UUID] = field(default_factory=list)
    findings: list[FindingLine] = field(default_factory=list)
    worklist: list[WorklistLine] = field(default_factory=list)
    studies: list[StudyLine] = field(default_factory=list)
    version: VersionLine | None = None
    beginning_so: list[UUID] = field(default_factory=list)
    more: bool = False

    def envelope(self, envelope: UUID, reason: str) -> None:
        reasons = self.why_envelope.setdefault(envelope, [])
        if reason not in reasons:
            reasons.append(reason)

    def resource(self, reference: str, reason: str) -> None:
        reasons = self.why_resource.setdefault(reference, [])
        if reason not in reasons:
            reasons.append(reason)


async def leads(connection: Connection, word: str, facilities: Sequence[str]) -> Leads:
    """`word` is an envelope, delivery or resource id, `Type/id`, a control id, an accession or order number, a UID, a
    patient's identifier, also as `system|value`, or words of a finding; or, where it is none of these, the beginning
    of an envelope's id. `Type/id@version` leads to what wrote that version, and to nothing else.

    From what it names directly the search goes one step on: to what is based on an order, to what is about a patient
    under any of his linked identities, and to the envelopes that wrote all of it.

    Every step finds its rows by an index and stops at a bound, so that the time does not grow with the journal; for
    the rest of the transaction the planner is kept from reading tables whole.
    """
    await connection.execute("set local enable_seqscan = off")
    found = Leads()
    if named_version := _VERSION.fullmatch(word):
        await _version_named(connection, named_version[1], int(named_version[2]), found)
        return found
    found.worklist = await trace_lines.steps_named(connection, word, facilities)
    await _envelopes_named(connection, word, facilities, found)
    await _deliveries_named(connection, word, found)
    await _resources_named(connection, word, found)
    await _findings_named(connection, word, found)
    if not (found.why_envelope or found.why_resource or found.deliveries or found.findings or found.worklist):
        await _envelopes_beginning(connection, word, found)
    named = list(found.why_resource)
    own = await _written_by(connection, list(found.why_envelope))
    for reference in own:
        found.resource(reference, "written-by-envelope")
    orders = await _orders_of(connection, list(found.why_resource))
    await _related(connection, orders, named, found)
    # What the envelopes named by the word wrote was often written by many others too: those are another story.
    await _writers(connection, [r for r in found.why_resource if r in named or r not in own], found)
    found.resources = await trace_lines.resources(connection, list(found.why_resource), MOST_RESOURCES)
    found.worklist = found.worklist or await trace_lines.steps_of(connection, orders)
    found.studies = await trace_lines.studies(connection, {word, *(step.study_uid for step in found.worklist)})
    _bound(found)
    return found


def _bound(found: Leads) -> None:
    """Keeps the newest envelopes: an identifier that a system gives to everybody leads to all of them."""
    newest = sorted(found.why_envelope)[-MOST_ENVELOPES:]
    found.more = (
        len(newest) < len(found.why_envelope)
        or len(found.resources) < len(found.why_resource)
        or len(found.findings) == MOST_FINDINGS
    )
    found.why_envelope = {envelope: found.why_envelope[envelope] for envelope in newest}


async def _version_named(connection: Connection, reference: str, number: int, found: Leads) -> None:
    found.version = await trace_lines.version(connection, reference, number)
    if found.version is None:
        return
    found.resource(reference, "named")
    found.resources = await trace_lines.resources(connection, [reference], MOST_RESOURCES)
    if found.version.envelope is not None:
        found.envelope(found.version.envelope, "wrote-this-version")


async def _envelopes_beginning(connection: Connection, word: str, found: Leads) -> None:
    """One envelope that the word leads to, or that there are several."""
    beginning = _BEGINNING.fullmatch(word.replace("-", "").lower())
    if beginning is None:
        return
    rows = await connection.fetch(
        "select id from journal where id >= $1 and id <= $2 order by id limit $3",
        UUID(beginning[1].ljust(32, "0")),
        UUID(beginning[1].ljust(32, "f")),
        MOST_BEGINNING_SO,
    )
    if len(rows) == 1:
        found.envelope(rows[0]["id"], "begins-so")
    else:
        found.beginning_so = [row["id"] for row in rows]


async def _envelopes_named(connection: Connection, word: str, facilities: Sequence[str], found: Leads) -> None:
    rows = await connection.fetch(
        """
        (select id, 'control-id' as reason from journal where control_id = $1 order by id desc limit $4)
        union all
        (select id, 'envelope-id' from journal where id = $2)
        union all
        (select of_key.envelope, 'of-patient' from unnest($3::text[]) k(key)
         cross join lateral (
            (select envelope from lane where key = k.key order by place desc limit $4)
            union all
            (select envelope from past_lane where key = k.key order by envelope desc limit $4)
         ) of_key)
        """,
        word,
        uuid_of(word),
        _lanes(word, facilities),
        MOST_ENVELOPES + 1,
    )
    for row in rows:
        found.envelope(row["id"], row["reason"])


def _lanes(word: str, facilities: Sequence[str]) -> list[str]:
    """The lanes of a patient's identifier; one of a known facility's system is looked for there alone."""
    system, bar, value = word.rpartition("|")
    if not bar:
        return [lane(facility, word) for facility in facilities]
    return [lane(facility, value) for facility in facilities if is_of_facility(system, facility)]


async def _deliveries_named(connection: Connection, word: str, found: Leads) -> None:
    rows = await connection.fetch(
        """
        (select id, envelope, about from delivery where control_id = $1 order by id desc limit $3)
        union (select id, envelope, about from delivery where id = $2)
        """,
        word,
        uuid_of(word),
        MOST_ENVELOPES,
    )
    for row in rows:
        found.deliveries.append(row["id"])
        if row["envelope"] is not None:
            found.envelope(row["envelope"], "caused-delivery")
        if row["about"] is not None:
            found.resource(row["about"], "delivered")


async def _resources_named(connection: Connection, word: str, found: Leads) -> None:
    system, bar, value = word.rpartition("|")
    identifier = of_system_and_value("identifier", system, value) if bar else of_value("identifier", word)
    resource_type, slash, resource_id = word.partition("/")
    types = [] if slash else await _types(connection)
    ids = [(resource_type, resource_id)] if slash else [(known_type, word) for known_type in types]
    ids += [("ServiceRequest", step.service_request) for step in found.worklist]
    rows = await connection.fetch(
        """
        (select r.type, r.id from resource r where r.tokens @> array[$1] order by r.last_updated desc limit $4)
        union
        (select r.type, r.id from resource r
         join unnest($2::text[], $3::text[]) k(type, id) on r.type = k.type and r.id = k.id)
        """,
        identifier,
        [pair[0] for pair in ids],
        [pair[1] for pair in ids],
        MOST_RESOURCES,
    )
    for row in rows:
        found.resource(f"{row['type']}/{row['id']}", "named")


async def _types(connection: Connection) -> list[str]:
    """The resource types there are, one step in the index for each."""
    rows = await connection.fetch(
        """
        with recursive known(type) as (
            (select type from resource order by type limit 1)
            union all
            select (select r.type from resource r where r.type > known.type order by r.type limit 1)
            from known where known.type is not null
        )
        select type from known where type is not null
        """
    )
    return [row["type"] for row in rows]


async def _findings_named(connection: Connection, word: str, found: Leads) -> None:
    found.findings = await finding_search.by_words(connection, word, MOST_FINDINGS)
    for finding in found.findings:
        if finding.envelope is not None:
            found.envelope(finding.envelope, "finding-says")


async def _written_by(connection: Connection, envelopes: Sequence[UUID]) -> list[str]:
    if not envelopes:
        return []
    rows = await connection.fetch(
        """
        select type, id from resource where envelope = any($1)
        union select type, id from resource_history where envelope = any($1) order by 1, 2 limit $2
        """,
        list(envelopes),
        MOST_RESOURCES,
    )
    return [f"{row['type']}/{row['id']}" for row in rows]


async def _orders_of(connection: Connection, references: Sequence[str]) -> list[str]:
    """The orders among these resources, and those that they are based on."""
    if not references:
        return []
    rows = await connection.fetch(
        """
        select distinct token
        from resource r join unnest($1::text[], $2::text[]) k(type, id) on r.type = k.type and r.id = k.id,
             unnest(r.tokens) token
        where token like 'based-on=%' or token like 'focus=ServiceRequest/%'
        """,
        [reference.partition("/")[0] for reference in references],
        [reference.partition("/")[2] for reference in references],
    )
    based_on = {row["token"].partition("=")[2] for row in rows}
    return sorted(based_on | {reference for reference in references if reference.startswith("ServiceRequest/")})


async def _related(connection: Connection, orders: Sequence[str], named: Sequence[str], found: Leads) -> None:
    """What is based on the orders, and what is about the patients that were named."""
    for order in orders:
        found.resource(order, "order")
    patients = [reference.removeprefix("Patient/") for reference in named if reference.startswith("Patient/")]
    linked = await reading.same_person(connection, patients) if patients else []
    for patient in linked:
        found.resource(f"Patient/{patient}", "same-person")
    if not orders and not linked:
        return
    of_orders = [of_reference(token, order) for order in orders for token in ("based-on", "focus")]
    of_patients = [of_reference("subject", f"Patient/{patient}") for patient in linked]
    rows = await connection.fetch(
        """
        select type, id, bool_or(of_order) as of_order from (
            (select type, id, last_updated, true as of_order from resource where tokens && $1::text[] limit $4)
            union all
            (select type, id, last_updated, false from resource where tokens && $2::text[] limit $4)
        ) r group by type, id, last_updated order by last_updated desc, type, id limit $3
        """,
        of_orders,
        of_patients,
        MOST_RESOURCES + 1,
        _LOOKED_AT,
    )
    for row in rows:
        found.resource(f"{row['type']}/{row['id']}", "of-order" if row["of_order"] else "of-patient")


async def _writers(connection: Connection, references: Sequence[str], found: Leads) -> None:
    """The envelopes that wrote the newest versions of these resources."""
    pairs = [reference.partition("/") for reference in references]
    if not references:
        return
    rows = await connection.fetch(
        """
        with known as (select * from unnest($1::text[], $2::text[]) k(type, id))
        select r.envelope from resource r join known k on r.type = k.type and r.id = k.id
        union
        select h.envelope from known k cross join lateral (
            select envelope from resource_history where type = k.type and id = k.id order by version desc limit $3
        ) h
        """,
        [pair[0] for pair in pairs],
        [pair[2] for pair in pairs],
        _VERSIONS_LOOKED_AT,
    )
    for row in rows:
        if row["envelope"] is not None:
            found.envelope(row["envelope"], "wrote-a-resource")


def uuid_of(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None
