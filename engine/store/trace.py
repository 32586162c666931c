"""Where does a word lead? From an id, a number or a UID to the envelopes, resources and deliveries it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from engine.identifiers import is_of_facility, lane
from engine.store import finding_search, reading, study_states
from engine.store.database import Connection
from engine.store.finding_list import FindingLine
from engine.store.tokens import of_reference, of_system_and_value, of_value
from engine.store.wholeness import StudyState

MOST_ENVELOPES = 100
MOST_RESOURCES = 300
MOST_FINDINGS = 100
_LOOKED_AT = 1_000
"""Of one patient's resources. A number that a system gives to everybody is one patient with a million of them: the
newest of all would cost reading each, and the newest envelopes, which the lanes know, tell the same."""
_VERSIONS_LOOKED_AT = 100
"""Of one resource, the newest."""


@dataclass(frozen=True, slots=True)
class ResourceLine:
    """A current resource, without its content."""

    reference: str
    type: str
    id: str
    version: int
    last_updated: datetime
    status: str | None
    envelope: UUID | None
    actor: str | None
    mapping: str | None


@dataclass(frozen=True, slots=True)
class WorklistLine:
    """A scheduled procedure step, without the patient."""

    service_request: str
    facility: str
    accession: str
    study_uid: str
    modality: str
    procedure_text: str
    station_ae: str
    scheduled_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class StudyLine:
    """What is stored of a study at one facility. `conflicts` counts objects whose UID came with other content.

    state         receiving, whole, short or late (`engine.store.wholeness`)
    missing_uids  the first of the missing instances that are known by name
    """

    uid: str
    facility: str
    channel: str
    peer: str
    first_stored_at: datetime
    last_stored_at: datetime
    series: int
    instances: int
    bytes: int
    conflicts: int
    noticed: bool
    state: str
    missing: int
    missing_uids: list[str]


@dataclass(slots=True)
class Leads:
    """Everything found.

    why_envelope, why_resource  the reasons each one is here
    deliveries                  those that the word names itself
    findings                    those whose words the word is
    more                        bounds cut the answer off: the newest are here
    """

    why_envelope: dict[UUID, list[str]] = field(default_factory=dict)
    why_resource: dict[str, list[str]] = field(default_factory=dict)
    resources: list[ResourceLine] = field(default_factory=list)
    deliveries: list[UUID] = field(default_factory=list)
    findings: list[FindingLine] = field(default_factory=list)
    worklist: list[WorklistLine] = field(default_factory=list)
    studies: list[StudyLine] = field(default_factory=list)
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
    patient's identifier, also as `system|value`, or words of a finding.

    From what it names directly the search goes one step on: to what is based on an order, to what is about a patient
    under any of his linked identities, and to the envelopes that wrote all of it.

    Every step finds its rows by an index and stops at a bound, so that the time does not grow with the journal; for
    the rest of the transaction the planner is kept from reading tables whole.
    """
    await connection.execute("set local enable_seqscan = off")
    found = Leads()
    found.worklist = await _worklist(connection, word, facilities)
    await _envelopes_named(connection, word, facilities, found)
    await _deliveries_named(connection, word, found)
    await _resources_named(connection, word, found)
    await _findings_named(connection, word, found)
    named = list(found.why_resource)
    own = await _written_by(connection, list(found.why_envelope))
    for reference in own:
        found.resource(reference, "written-by-envelope")
    orders = await _orders_of(connection, list(found.why_resource))
    await _related(connection, orders, named, found)
    # What the envelopes named by the word wrote was often written by many others too: those are another story.
    await _writers(connection, [r for r in found.why_resource if r in named or r not in own], found)
    found.resources = await _lines(connection, list(found.why_resource))
    found.worklist = found.worklist or await _worklist_of(connection, orders)
    found.studies = await _studies(connection, {word, *(step.study_uid for step in found.worklist)})
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


async def _lines(connection: Connection, references: Sequence[str]) -> list[ResourceLine]:
    if not references:
        return []
    pairs = [reference.partition("/") for reference in references]
    rows = await connection.fetch(
        """
        select r.type || '/' || r.id as reference, r.type, r.id, r.version, r.last_updated,
               r.body ->> 'status' as status, r.envelope, r.actor, r.mapping
        from resource r join unnest($1::text[], $2::text[]) k(type, id) on r.type = k.type and r.id = k.id
        order by r.last_updated desc, r.type, r.id limit $3
        """,
        [pair[0] for pair in pairs],
        [pair[2] for pair in pairs],
        MOST_RESOURCES,
    )
    return [ResourceLine(**dict(row)) for row in rows]


_WORKLIST_COLUMNS = (
    "service_request, facility, accession, study_uid, modality, procedure_text, station_ae, scheduled_at, state"
)


async def _worklist(connection: Connection, word: str, facilities: Sequence[str]) -> list[WorklistLine]:
    rows = await connection.fetch(
        f"""
        select {_WORKLIST_COLUMNS} from worklist
        where (facility = any($2) and accession = $1) or study_uid = $1 order by scheduled_at
        """,
        word,
        list(facilities),
    )
    return [WorklistLine(**dict(row)) for row in rows]


async def _worklist_of(connection: Connection, orders: Sequence[str]) -> list[WorklistLine]:
    if not orders:
        return []
    rows = await connection.fetch(
        f"select {_WORKLIST_COLUMNS} from worklist where service_request = any($1) order by scheduled_at",
        [order.removeprefix("ServiceRequest/") for order in orders],
    )
    return [WorklistLine(**dict(row)) for row in rows]


async def _studies(connection: Connection, uids: Collection[str]) -> list[StudyLine]:
    rows: Sequence[Any] = await connection.fetch(
        """
        select s.uid, s.facility, s.channel, s.peer, s.first_stored_at, s.last_stored_at,
               count(distinct i.series_uid) as series, count(i.sop_uid) as instances,
               coalesce(sum(i.bytes), 0)::bigint as bytes, count(*) filter (where i.conflict) as conflicts,
               s.noticed_revision = s.revision as noticed
        from study s left join instance i on i.study_uid = s.uid and i.facility = s.facility
        where s.uid = any($1) group by s.uid, s.facility order by s.first_stored_at
        """,
        sorted(uids),
    )
    states = await study_states.of_studies(connection, sorted(uids))
    return [StudyLine(**dict(row), **_stands(states[row["uid"], row["facility"]])) for row in rows]


def _stands(state: StudyState) -> dict[str, Any]:
    return {"state": state.state.value, "missing": state.missing, "missing_uids": list(state.missing_uids)}


def uuid_of(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None
